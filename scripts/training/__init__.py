"""Train models from recipes."""
