"""Training data: annotation files, their pre-flight check, sources of lines, batches."""
