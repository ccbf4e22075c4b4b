"""Reproduce tables of results: what they train, the trials that they lack, the tables."""
