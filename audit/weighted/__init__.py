"""Rows that carry survey weights: their column, and what checks measure of them by weight."""
