"""Declares a field of `TrainConfig` as an option: its help, its range, its role."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from crnn_runtime.errors import CrnnError


class Range(NamedTuple):
    """The values that a number may have, and how a message says it."""

    text: str
    holds: Callable[[float], bool]


AT_LEAST_1 = Range("at least 1", lambda value: value >= 1)
COUNT = Range("0 or more", lambda value: value >= 0)
POSITIVE = Range("positive", lambda value: value > 0)
SHARE = Range("in 0..1", lambda value: 0 <= value <= 1)
PART = Range("in 0..1, less than 1", lambda value: 0 <= value < 1)


class _Free:
    """Marks what may change when a run is continued, for it does not shape the loss curve."""


FREE = _Free()


class Option(NamedTuple):
    """A field of `TrainConfig` that is an option of ``crnn-train``, too.

    Attributes:
        type: of its value.
        text: its help; a default that depends on other things stands there, too.
        accepts: the numbers it may be.
        is_free: see `FREE`.
    """

    type: Any
    text: str
    accepts: Range | None
    is_free: bool


def options_of(topic: type) -> dict[str, Option]:
    """The fields of a dataclass that are options (they are `Annotated` with a help), by name."""
    options = {}
    for name, hint in get_type_hints(topic, include_extras=True).items():
        notes = getattr(hint, "__metadata__", ())
        if notes:
            accepts = next((note for note in notes if isinstance(note, Range)), None)
            options[name] = Option(hint.__origin__, notes[0], accepts, FREE in notes)
    return options


@dataclasses.dataclass(frozen=True, kw_only=True)
class Topic:
    """Options that belong together. Each topic checks its own when it is made.

    Raises:
        CrnnError: a value has the wrong type or is out of its range.
    """

    def __post_init__(self) -> None:
        for name, option in options_of(type(self)).items():
            value = getattr(self, name)
            flag = "--" + name.replace("_", "-")
            if (wanted := wanted_of(value, option.type)) and not isinstance(value, Path | tuple):
                raise CrnnError(f"{flag} is {value!r}: it must be {wanted}")
            if value is not None and option.accepts and not option.accepts.holds(value):
                raise CrnnError(f"{flag} is {value}: it must be {option.accepts.text}")


def plain_type(hint: Any) -> Any:  # noqa: ANN401 (types)
    """``X`` of ``X | None``, and any other type as it is."""
    kinds = get_args(hint)
    return next(kind for kind in kinds if kind is not NoneType) if NoneType in kinds else hint


def wanted_of(value: Any, hint: Any) -> str:  # noqa: ANN401 (of any type)
    """Describes the values that an option takes, in words; empty if this value is one of them.

    Args:
        value: as a recipe or a program gives it; None is any option's.
        hint: the option's type. Paths are texts, and so are the members of tuples.
    """
    kind = plain_type(hint)
    if value is None:
        return ""
    if get_origin(kind) is Literal:
        return "" if value in get_args(kind) else f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        accepted = str | float | int if get_args(kind)[0] is float else str
        is_list = isinstance(value, list | tuple) and all(isinstance(v, accepted) for v in value)
        return "" if is_list else "a list of texts"
    accepted, words = {
        bool: (bool, "true or false"),
        int: (int, "a whole number"),
        float: (int | float, "a number"),
    }.get(kind, (str, "a text"))
    is_it = isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
    return "" if is_it else words


def parse_share(text: str) -> tuple[str, float]:
    """``DATA=SHARE`` → its parts.

    Raises:
        CrnnError: no such form, or the share is not between 0 and 1.
    """
    name, equals, share = text.rpartition("=")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not equals or not name or not 0 < value < 1:
        raise CrnnError(f"--mix {text}: give DATA=SHARE with a share between 0 and 1")
    return name, value


def parse_shares(texts: Iterable[str | float]) -> tuple[float, ...]:
    """Shares as an option or a recipe gives them, ``0.3,0.6`` or one by one.

    Raises:
        CrnnError: one is no number.
    """
    words = [word for text in texts for word in str(text).split(",")]
    try:
        return tuple(float(word) for word in words)
    except ValueError:
        raise CrnnError(f"--blend {','.join(words)}: give shares from 0 to 1") from None
