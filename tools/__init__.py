"""Tools that maintainers run from the repository's root with ``python -m``; not installed."""
