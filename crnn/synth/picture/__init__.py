"""How lines look: glyphs set on a line, warped, painted, and seen by a camera."""
