"""Evaluate models on samples."""
