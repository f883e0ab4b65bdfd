"""Readers for many: a page to look at, and folders too large for one process."""

if __name__ != "crnn_serve":
    raise ImportError(f"import this package as crnn_serve, not as {__name__}")
