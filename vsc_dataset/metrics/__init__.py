"""Texts -> error rates: the metric and what stands beside its figures."""
