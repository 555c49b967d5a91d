"""Fairer variants of a trained net: what is mitigated, the nets that are made around it, and the methods that look for them."""
