"""From a page to lines: where text stands, in which order it is read, and what it says."""
