"""Characters as points: those that look alike lie close."""

import numpy as np

from crnn.synth.fonts.faces import FontSet, load_faces
from crnn.synth.fonts.files import package_fonts
from crnn.synth.fonts.shapes import glyph_shapes

CHARACTERS = "OQ0CGIl1|WMHN .,8B漢"


def test_alike_characters_are_neighbours_and_fonts_differ_by_one() -> None:
    faces = FontSet(load_faces(package_fonts())).main_faces
    shapes = glyph_shapes(CHARACTERS, faces, 8)
    assert shapes.points.shape == (len(CHARACTERS), 8)
    known = [c for c, is_known in zip(CHARACTERS, shapes.known, strict=True) if is_known]
    assert set(CHARACTERS) - set(known) == {" ", "漢"}  # no ink, no face
    assert not shapes.points[~shapes.known].any()

    def distance(a: str, b: str) -> float:
        points = shapes.points[[CHARACTERS.index(a), CHARACTERS.index(b)]]
        return float(np.linalg.norm(points[0] - points[1]))

    for near, far in (("OQ", "OW"), ("I|", "IM"), (".,", ".B"), ("8B", "8|")):
        assert distance(*near) < distance(*far)


def test_directions_beyond_what_glyphs_tell_apart_are_zero() -> None:
    faces = FontSet(load_faces(package_fonts())).main_faces
    points = glyph_shapes("01", faces, 500).points
    assert points[:, 0].all()
    assert not points[:, 400:].any()
    assert not glyph_shapes("01", [], 4).points.any()
