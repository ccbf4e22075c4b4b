"""The metric, and the trivial baselines to compare models with."""
