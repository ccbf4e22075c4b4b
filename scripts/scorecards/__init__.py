"""Scorecards: five skills and a horizon of a layer under one frozen protocol."""
