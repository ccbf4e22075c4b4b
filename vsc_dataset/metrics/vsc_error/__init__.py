"""Predicted and true answers -> sample error and mask error, with the floors beside them."""
