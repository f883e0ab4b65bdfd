"""The pictures of a folder."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crnn_runtime import CrnnError, Line
from crnn_runtime.picture.files import walk_files
from crnn_serve.label.journal import Kind, Record
from crnn_serve.label.split import pages_of


@dataclass(slots=True)
class Entry:
    """A line and what is known of it.

    Attributes:
        path: of its picture, relative to the folder.
        page: that it was cut out of, see `split.pages_of`.
        key: what the page calls it; it depends on the path alone, so a page that was
            opened before the server was started again means the same picture.
        version: how many answers it has.
        kind: of the last one, None if it has none.
        text: of the last one.
        trusted: what was accepted unseen, None if nothing was.
        reading: what the reader makes of it, None until it was read.
    """

    path: str
    page: str
    key: str = field(init=False)
    version: int = 0
    kind: Kind | None = None
    text: str = ""
    trusted: str | None = None
    reading: Line | None = None

    def __post_init__(self) -> None:
        self.key = hashlib.sha256(self.path.encode()).hexdigest()[:20]

    def take(self, record: Record) -> None:
        """Make an answer the last one."""
        self.version, self.kind, self.text = record.version, record.kind, record.text
        if record.kind == "trusted":
            self.trusted = record.text

    @property
    def is_settled(self) -> bool:
        """Whether a person is done with it."""
        return self.kind in ("text", "not-text", "unreadable")

    @property
    def has_text(self) -> bool:
        """Whether it is a line to train on."""
        return self.kind in ("text", "trusted")


@dataclass(frozen=True)
class Pictures:
    """The pictures to label.

    Attributes:
        folder: the uppermost.
        entries: path → line.
        misnamed: pictures whose names cannot stand in an annotation file.
    """

    folder: Path
    entries: dict[str, Entry]
    misnamed: Sequence[str]


def find_pictures(folder: Path) -> Pictures:
    """The pictures in a folder and below it.

    Raises:
        CrnnError: there is none, or no such folder.
    """
    named: list[str] = []
    misnamed: list[str] = []
    for path in walk_files(folder):
        name = Path(path).relative_to(folder).as_posix()
        if name != ".":  # the folder itself, which cannot be listed
            (named if _is_plain(name) else misnamed).append(name)
    if not folder.is_dir():
        raise CrnnError(f"there is no folder {folder}: give one with pictures of lines")
    if not named:
        raise CrnnError(
            f"{folder} holds no picture whose name can stand in train.tsv: give a folder of line "
            "pictures"
        )
    pages = pages_of(named)
    return Pictures(folder, {name: Entry(name, pages[name]) for name in named}, misnamed)


def replay(pictures: Pictures, records: Iterable[Record]) -> None:
    """Bring the lines to what was answered before; pictures that are gone keep their answers."""
    for record in records:
        if entry := pictures.entries.get(record.path):
            entry.take(record)


def _is_plain(name: str) -> bool:
    """Whether a row ``path<TAB>text`` of UTF-8 can name it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return not any(bad in name for bad in "\t\n\r") and not name.startswith("\ufeff")
