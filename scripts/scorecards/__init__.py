"""Scorecards: six skills of a layer under one frozen protocol."""
