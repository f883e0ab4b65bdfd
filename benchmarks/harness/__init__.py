"""Shared by all measurements: timing, statistics, machines, models, lines, the format."""
