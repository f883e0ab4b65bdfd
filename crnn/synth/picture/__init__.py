"""Draws lines: glyphs are set on a line, warped, painted, and seen by a camera."""
