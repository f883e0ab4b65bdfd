"""Measurements of this project that anyone can run again."""

if __name__ != "crnn_benchmarks":
    raise ImportError(f"import this package as crnn_benchmarks, not as {__name__}")
