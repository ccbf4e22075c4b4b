"""The metric and the baselines to compare it with."""
