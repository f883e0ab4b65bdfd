"""Command-line programs of the training side."""
