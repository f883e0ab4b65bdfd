"""The command ``crnn-export``."""
