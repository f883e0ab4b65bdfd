"""Reduced precision: one file a route, and the gate that measures what it costs."""
