"""Results as pages: Markdown tables, a self-contained HTML page, comparisons."""
