"""The auditor audited: known defects are planted, and nothing is; how often does each check find what is there, and what is not?"""
