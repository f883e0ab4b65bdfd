"""The weights that a run starts from: another reader's, or what the fonts show."""
