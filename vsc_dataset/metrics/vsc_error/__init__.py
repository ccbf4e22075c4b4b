"""Sample error and mask error of answers, and the trivial baselines next to them."""
