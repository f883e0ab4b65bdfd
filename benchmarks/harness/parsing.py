"""JSON to dataclasses, checked by their annotations."""

import dataclasses
import types
import typing
from typing import Any, TypeVar

from crnn_runtime.errors import CrnnError

Parsed = TypeVar("Parsed")


def parse(kind: type[Parsed], content: object, where: str) -> Parsed:
    """JSON → a dataclass, by its annotations; every field is checked.

    Args:
        kind: the dataclass. Its fields are JSON's own types, dataclasses, tuples or
            dictionaries of them.
        content: what `json` gave.
        where: its place, for messages.

    Raises:
        CrnnError: a field is missing, unknown or of the wrong kind.
    """
    if not isinstance(content, dict):
        raise CrnnError(f"{where} is {content!r:.40}, not an object")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(content.keys() - fields.keys()):
        raise CrnnError(f"{where} has an unknown field {unknown[0]!r}")
    missing = [
        name
        for name, field in fields.items()
        if name not in content
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise CrnnError(f"{where} has no {missing[0]!r}")
    values = {name: _value(hints[name], content[name], f"{where}.{name}") for name in content}
    try:
        return kind(**values)
    except ValueError as error:
        raise CrnnError(f"{where}: {error}") from error


def _value(kind: Any, content: Any, where: str) -> Any:  # noqa: ANN401, PLR0911
    """One JSON value as the annotation says."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if content is None:
            return None
        return _value(arguments[0], content, where)
    if origin is dict and isinstance(content, dict):
        return {key: _value(arguments[1], item, f"{where}.{key}") for key, item in content.items()}
    if origin is tuple and isinstance(content, list):
        return tuple(_value(arguments[0], item, f"{where}[{n}]") for n, item in enumerate(content))
    if dataclasses.is_dataclass(kind):
        return parse(typing.cast("type[Any]", kind), content, where)
    if kind is float and type(content) in (int, float):
        return float(content)
    if isinstance(kind, type) and type(content) is kind:
        return content
    raise CrnnError(f"{where} is {content!r:.40}, which is no {getattr(kind, '__name__', kind)}")
