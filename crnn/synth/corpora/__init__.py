"""Running text for synthetic lines: drawn from files, and extracted from documents."""
