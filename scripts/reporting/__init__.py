"""Report results: ranking, tables, figures."""
