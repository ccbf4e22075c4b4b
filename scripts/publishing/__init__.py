"""What leaves the house: the dataset as files, its card."""
