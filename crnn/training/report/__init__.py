"""Reports a run while it goes: log lines, a JSON log, curves, the worst lines."""
