"""`Synthesizer`: line ``i`` of (preset, seed) as a pure function of ``i``."""

import dataclasses
import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crnn.synth.fonts.faces import HAN, FontSet, load_faces
from crnn.synth.fonts.files import find_fonts
from crnn.synth.fonts.glyphs import shared_glyphs
from crnn.synth.picture.degrade import degrade
from crnn.synth.picture.geometry import place
from crnn.synth.picture.ink import print_line, wear
from crnn.synth.picture.layout import Boxes, Layout, lay_out
from crnn.synth.picture.look import Look
from crnn.synth.picture.looks import LOOKS
from crnn.synth.picture.paint import PALETTES, paint
from crnn.synth.picture.texture import TEXTURES, Backgrounds
from crnn.synth.presets import PRESETS
from crnn.synth.split import SPLITS, Split
from crnn.synth.text.corpus import find_texts
from crnn.synth.text.lines import Texts
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

Image = npt.NDArray[np.uint8]
Paths = str | Path | Sequence[str | Path]

_ATTEMPTS = 24


@dataclasses.dataclass(frozen=True)
class Sample:
    """One synthetic line.

    Attributes:
        image: (H, W, 3) RGB.
        text: what it reads.
        boxes: (len(text), 4) float32 x0, y0, x1, y1 of each character's ink in
            pixels; a character without ink has its advance as the x-range. A box
            may reach beyond the picture where a crop is tight.
    """

    image: Image
    text: str
    boxes: Boxes


class Synthesizer:
    """Draws synthetic lines; random access, so that streams shard and resume exactly.

    Line ``i`` depends on the preset, the seed, the split, the overrides and the
    fonts and texts that are there, and on nothing that was drawn before. Instances
    can be pickled; each process then has a glyph cache of its own.

    Args:
        preset: a key of `PRESETS`.
        seed: another seed gives other lines.
        fonts: see `crnn.synth.fonts.files.find_fonts`; None takes all fonts of
            packages and system.
        split: ``train``, ``heldout`` or ``all`` font families and words.
        alphabet: characters that may appear; None takes the preset's.
        corpus: UTF-8 files or folders of running text; the word ``words`` makes prose
            of words; None takes the texts that ``make texts`` installed, else words.
        words: a UTF-8 word list, ``word count`` a line, in place of the shipped ones;
            or a folder of ``zh.txt`` and ``en.txt``.
        pictures: photographs or folders of them to put behind the text.
        rare: characters of the alphabet forced into each line, in turn, so that
            ``N`` lines have each at least ``floor(N * rare / len(alphabet))`` times.
        lift: the characters that ``rare`` is about, such as those that a start lacks; None
            is the whole alphabet.
        cache_bytes: limit of the glyph cache, which all with the same limit share.
        look: a key of `LOOKS` in place of the preset's looks; ``plain`` is black on white.
        changes: fields to replace in every look, see `Look.but`.

    Raises:
        CrnnError: an unknown preset, field or path; no usable font; no text.
    """

    def __init__(
        self,
        preset: str = "digits",
        seed: int = 0,
        *,
        fonts: Paths | None = None,
        split: Split = "all",
        alphabet: Alphabet | None = None,
        corpus: Paths | None = None,
        words: str | Path | None = None,
        pictures: Paths | None = None,
        rare: float = 0.0,
        lift: str | None = None,
        cache_bytes: int = 64 << 20,
        look: str | None = None,
        **changes: Any,  # noqa: ANN401
    ) -> None:
        if split not in SPLITS:
            raise CrnnError(f"no split {split!r}: choose from {', '.join(SPLITS)}")
        if preset not in PRESETS:
            raise CrnnError(f"no preset {preset!r}: choose from {', '.join(PRESETS)}")
        self.name, self.seed, self.split = preset, seed, split
        self.backgrounds = Backgrounds(_paths(pictures))
        self.preset = PRESETS[preset]
        shares = self.preset.looks if look is None else {look: 1.0}
        self.looks = _looks(shares, changes, bool(self.backgrounds.files))
        self.alphabet = alphabet or Alphabet.load(self.preset.alphabet)
        self.fonts = FontSet(load_faces(find_fonts(fonts)), weights=self.preset.fonts, split=split)
        if HAN in self.alphabet.codes and not self.fonts.has_han:
            raise CrnnError(
                f"preset {preset} needs a font with Chinese characters: `make fonts` installs free "
                f"ones, or name a folder of fonts"
            )
        self.texts = Texts(
            self.preset.text,
            self.alphabet,
            self.fonts,
            split=split,
            corpus=find_texts(None if corpus is None else _several(corpus)),
            words=words,
            rare=rare,
            lift=lift,
        )
        self._cache_bytes = cache_bytes
        self._cache = shared_glyphs(cache_bytes)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cache = shared_glyphs(self._cache_bytes)

    def line(self, index: int) -> Sample:
        """Draw line ``index``, 0 or more.

        Raises:
            CrnnError: no font has the characters of the texts that were drawn.
        """
        rng = self._rng(index)
        looks, shares = zip(*self.looks, strict=True)
        text = ""
        for attempt in range(_ATTEMPTS):
            text = self.texts.draw(index, rng, lift=attempt < _ATTEMPTS // 2)
            look = rng.choices(looks, shares)[0]
            layout = self._lay_out(text, look, rng)
            if layout is not None:
                return self._draw(layout, text, look, rng)
        raise CrnnError(
            f"no font has all of {text!r} (line {index} of {self.name}): give more fonts "
            f"(`make fonts`), or an alphabet that the fonts have"
        )

    def text(self, index: int) -> str:
        """The text of line ``index``, undrawn; the same unless a font has blank glyphs."""
        return self.texts.draw(index, self._rng(index), lift=True)

    def _rng(self, index: int) -> random.Random:
        key = f"{self.name}/{self.seed}/{self.split}/{index}".encode()
        return random.Random(int.from_bytes(hashlib.blake2b(key, digest_size=16).digest()))

    def _lay_out(self, text: str, look: Look, rng: random.Random) -> Layout | None:
        for character, twin in look.setting.stand_ins.items():
            if rng.random() < 0.5:
                text = text.replace(character, twin)
        face = self.fonts.choose(rng, text)
        if face is None:
            return None
        faces = [face] * len(text)
        chance = look.setting.latin_face
        if chance and not text.isascii() and rng.random() < chance:
            ascii_part = {character for character in text if "!" <= character <= "~"}
            other = self.fonts.companion(rng, "".join(sorted(ascii_part))) if ascii_part else None
            if other is not None:
                faces = [other if character in ascii_part else face for character in text]
        at = look.setting.silent_dot
        if not 0 < at < len(text):
            return lay_out(self._cache, faces, text, look, rng)
        dotted = lay_out(
            self._cache, [*faces[:at], face, *faces[at:]], f"{text[:at]}·{text[at:]}", look, rng
        )
        if dotted is None:
            return None
        return dataclasses.replace(dotted, boxes=np.delete(dotted.boxes, at, axis=0))

    def _draw(self, layout: Layout, text: str, look: Look, rng: random.Random) -> Sample:
        placed = place(print_line(layout, look, rng), look, rng)
        alpha = wear(placed.alpha, look.ink, rng, self.backgrounds)
        picture = paint(alpha, look, rng, self.backgrounds, placed.panel)
        return Sample(degrade(picture, look.camera, rng), text, placed.boxes)


def _paths(where: Paths | None) -> list[Path]:
    paths = [path.expanduser() for path in _several(where or ())]
    if missing := [path for path in paths if not path.exists()]:
        raise CrnnError(f"no file or folder {missing[0]}")
    return paths


def _several(where: Paths) -> list[Path]:
    return [*map(Path, [where] if isinstance(where, str | Path) else where)]


def _looks(
    shares: Mapping[str, float], changes: dict[str, Any], photo: bool
) -> list[tuple[Look, float]]:
    """Looks and how often each is used, with fields replaced, and with photographs behind."""
    if unknown := sorted(shares.keys() - LOOKS.keys()):
        raise CrnnError(f"no look {unknown[0]!r}: choose from {', '.join(LOOKS)}")
    looks = []
    for name, share in shares.items():
        look = LOOKS[name].but(**changes)
        kinds, palette = look.surface.backgrounds, look.surface.palette
        if unknown := sorted(kinds.keys() - TEXTURES.keys()):
            raise CrnnError(f"no background {unknown[0]!r}: choose from {', '.join(TEXTURES)}")
        if palette not in PALETTES:
            raise CrnnError(f"no palette {palette!r}: choose from {', '.join(PALETTES)}")
        if photo:
            look = look.but(backgrounds={**kinds, "photo": sum(kinds.values())})
        looks.append((look, share))
    return looks
