"""The command ``crnn-bench``."""
