"""Lines that real software draws: pages in a browser, with the boxes of their lines."""
