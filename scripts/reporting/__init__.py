"""Figures of a run -> records, tables, pictures."""
