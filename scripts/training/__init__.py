"""Recipes -> trained models."""
