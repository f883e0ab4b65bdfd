"""Records the options that an output folder was begun with: another model or input is refused
there.
"""

import dataclasses
import json
import uuid
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from crnn_runtime.errors import CrnnError
from crnn_serve.bulk.model import Reader
from crnn_serve.bulk.parts import LINES, PAGES
from crnn_serve.bulk.sources import Columns
from crnn_serve.bulk.store import Store, open_address

MANIFEST = "_manifest.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """The beginning of a run; how many workers of what kind read it may change.

    Attributes:
        run: a name of its own, by which a worker knows the folder.
        version: of this project that planned it.
        model: as it was given.
        hashes: of the model's files and of the decoder's, SHA-256.
        decoding: all options of the decoder.
        inputs: absolute paths and URLs.
        columns: of Parquet files, as they were asked for.
        lines_per_part: pictures of a part.
        parts: how many there are.
        turn: whether what is read without confidence is read again, turned.
        pages: how pages are read; None if pictures are lines.
    """

    run: str
    version: str
    model: str
    hashes: dict[str, str]
    decoding: dict[str, Any]
    inputs: list[str]
    columns: dict[str, str | None]
    lines_per_part: int
    parts: int = 0
    turn: str | None = None
    pages: dict[str, Any] | None = None

    @property
    def suffix(self) -> str:
        """The suffix of the files of parts."""
        return LINES if self.pages is None else PAGES

    @classmethod
    def of(
        cls, reader: Reader, inputs: Sequence[str], columns: Columns, lines_per_part: int
    ) -> Self:
        """Returns the manifest of the options that the user gives now."""
        decoding = json.loads(json.dumps(dataclasses.asdict(reader.decoding), default=sorted))
        return cls(
            run=uuid.uuid4().hex,
            version=metadata.version("crnn"),
            model=reader.name,
            hashes=dict(reader.hashes),
            decoding=decoding,
            inputs=[absolute(each) for each in inputs],
            columns=dataclasses.asdict(columns),
            lines_per_part=lines_per_part,
            turn=reader.turn,
            pages=None if reader.pages is None else reader.pages.options(),
        )

    @classmethod
    def read(cls, store: Store) -> Self | None:
        """That of a folder; None if it has none.

        Raises:
            CrnnError: it cannot be read.
        """
        try:
            with store.open(MANIFEST) as file:
                return cls(**json.loads(file.read()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise CrnnError(
                f"cannot read {store.address}/{MANIFEST}: {error}: give another folder"
            ) from error

    def write(self, store: Store) -> None:
        """Write it, when the plan is written: a folder without it was not begun.

        Raises:
            CrnnError: the folder cannot be written.
        """
        text = json.dumps(dataclasses.asdict(self), indent=1) + "\n"
        store.write(MANIFEST, lambda path: Path(path).write_text(text))

    def continues(self, begun: "Manifest") -> bool:
        """Whether this asks for the same as what a folder was begun with."""
        return self._difference(begun) is None

    def check_continues(self, begun: "Manifest", folder: str) -> None:
        """See that it does.

        Raises:
            CrnnError: it does not.
        """
        if name := self._difference(begun):
            old, new = _differing(getattr(begun, name), getattr(self, name))
            raise CrnnError(
                f"{folder} was begun with {_KINDS[name]} ({old}, now {new}): "
                "give another folder, or the same as then"
            )

    def _difference(self, begun: "Manifest") -> str | None:
        """The first field that counts and is another."""
        return next((n for n in _KINDS if getattr(begun, n) != getattr(self, n)), None)


_KINDS = {
    "hashes": "another model or decoder's file",
    "decoding": "other options of decoding",
    "inputs": "other inputs",
    "columns": "other columns",
    "lines_per_part": "another --lines-per-part",
    "turn": "another --turn",
    "pages": "other options of pages",
}
"""Field in which a folder's beginning must be the same → what a message calls another one."""


def absolute(given: str) -> str:
    """An input as it is known wherever it is looked at from."""
    return given if "://" in given else str(open_address(given)[1])


def _differing(old: Any, new: Any) -> tuple[str, str]:  # noqa: ANN401
    """The first values that are not the same, short enough for a message."""
    if isinstance(old, dict) and isinstance(new, dict):
        name = next(key for key in [*old, *new] if old.get(key) != new.get(key))
        return f"{name} {_short(old.get(name))}", _short(new.get(name))
    if isinstance(old, list) and isinstance(new, list):
        pairs = zip([*old, None], [*new, None], strict=False)
        old, new = next(((a, b) for a, b in pairs if a != b), (len(old), len(new)))
    return _short(old), _short(new)


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:12]}…"
