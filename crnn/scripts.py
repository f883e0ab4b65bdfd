"""Facts about scripts for a line that is drawn glyph by glyph, from left to right.

A reader reads from left to right, so its labels are in *visual order*: as the line shows its
characters, from left to right. That is the order of the text itself except where Hebrew or
Arabic is in it.
"""

import unicodedata

from crnn_runtime.errors import MissingDependencyError

_JOINED = (
    (0x0600, 0x0E00),  # Arabic, Syriac, N'Ko, and the scripts of India
    (0x0F00, 0x10A0),  # Tibetan, Myanmar
    (0x1780, 0x18B0),  # Khmer, Mongolian
    (0x1900, 0x1C80),  # Limbu to Ol Chiki, Balinese and Batak among them
    (0xA800, 0xAAE0),  # Syloti Nagri to Tai Viet, Javanese and Cham among them
    (0x10A00, 0x11FFF),  # further ones of India and of the Silk Road
)
"""First and last code points but one of scripts whose letters change beside others."""


def is_right_to_left(text: str) -> bool:
    """Whether some of a text runs from right to left."""
    return any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)


def needs_shaping(text: str) -> bool:
    """Whether glyphs side by side do not show a text: letters join, or marks stand on others."""
    return not text.isascii() and any(map(_is_shaped, text))


def _is_shaped(character: str) -> bool:
    kind = unicodedata.category(character)[0]
    if kind == "M":
        return True
    return kind == "L" and any(first <= ord(character) < end for first, end in _JOINED)


def to_visual(text: str) -> str:
    """A text as its line shows it, from left to right (Unicode Standard Annex 9).

    Raises:
        MissingDependencyError: it runs from right to left and python-bidi is not installed.
    """
    if text.isascii() or not is_right_to_left(text):
        return text
    try:
        from bidi.algorithm import get_display  # noqa: PLC0415 (few need it)
    except ImportError as error:
        raise MissingDependencyError.of_extra("python-bidi", "synth") from error
    return str(get_display(text))
