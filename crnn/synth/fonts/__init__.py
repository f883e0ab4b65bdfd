"""Fonts: their files, their faces, and glyphs as masks."""
