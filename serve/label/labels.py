"""The answers to a folder's lines: taken one by one, on disk when they are acknowledged."""

import logging
import threading
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crnn_runtime import CrnnError, Line
from crnn_runtime.model.alphabet import Alphabet
from crnn_serve.label.folder import Entry, find_pictures, replay
from crnn_serve.label.journal import Journal, Kind, NotStoredError, Record
from crnn_serve.label.order import Order
from crnn_serve.label.tables import Tables

LONGEST = 2_000
"""Characters that a label may have."""
_LOG = logging.getLogger(__name__)
_BAD = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of pairs, line and paragraph ends


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options for labelling a folder.

    Attributes:
        share: of the groups of lines that go to ``dev.tsv``.
        accept_above: confidence above which a reading is accepted unseen; None for never.
        sample: of those, how many are shown all the same.
    """

    share: float = 0.1
    accept_above: float | None = None
    sample: int = 100


class StaleError(CrnnError):
    """An answer to a line that another window has answered meanwhile."""

    def __init__(self, entry: Entry) -> None:
        super().__init__("another window has answered this line meanwhile")
        self.entry = entry


class Labels:
    """A folder of lines, their readings and answers. Safe to use from several threads.

    Args:
        folder: of the pictures.
        alphabet: of the reader, to name characters that it does not have.
        settings: how it is labelled.

    Raises:
        CrnnError: there is no picture, another process labels this folder, or a file in it
            is not ours.
    """

    def __init__(self, folder: Path, alphabet: Alphabet, settings: Settings | None = None) -> None:
        self.alphabet = alphabet
        self._settings = settings or Settings()
        self._lock = threading.RLock()
        self._pictures = find_pictures(folder)
        self._entries = self._pictures.entries
        self._by_key = {entry.key: entry for entry in self._entries.values()}
        self._order = Order(self._settings.sample)
        self._failed: dict[str, str] = {}
        self._trusted: list[Record] = []
        self._unknown: dict[str, list[str]] = {}
        self._problems = {"reading": "", "tables": ""}
        self.all_read = False
        self._journal = Journal(folder)
        try:
            replay(self._pictures, self._journal.records)
            known = {(each.path, each.text) for each in self._journal.records}
            pages = {entry.path: entry.page for entry in self._entries.values()}
            self._tables = Tables(folder, pages, self._settings.share, known)
            self._write_tables()
        except BaseException:
            self._journal.close()
            raise

    def close(self) -> None:
        """Let another process have the folder."""
        self._journal.close()

    def unread(self) -> list[Entry]:
        """The lines that a reader should look at, because nobody is done with them."""
        return [entry for entry in self._entries.values() if entry.kind in (None, "skip")]

    def path_of(self, key: str) -> Path:
        """Returns the path of a line's picture.

        Raises:
            KeyError: there is no such line.
        """
        return self._pictures.folder / self._by_key[key].path

    def read(self, entry: Entry, line: Line) -> None:
        """Take what the reader makes of a line."""
        with self._lock:
            entry.reading = line
            if line.error:
                self._failed[entry.path] = line.error
            limit = self._settings.accept_above
            sure = limit is not None and line.confidence > limit and not line.error
            if sure and entry.kind is None and not _fault(line.text):
                text = line.text.strip()
                self._trusted.append(Record(entry.path, 1, "trusted", text, line.confidence))
            if len(self._trusted) >= 256:
                self._trust()

    def finish_reading(self, problem: str = "") -> None:
        """Say that no further line is read, and why if there should be more."""
        with self._lock:
            self._trust()
            if problem:
                self._problems["reading"] = problem
            self.all_read = True

    def answer(self, key: str, version: int, kind: Kind, text: str = "") -> Entry:
        """Take an answer; it is on disk when this returns.

        An answer that is there already is not an error: a page sends it again when the
        server ended before it could say so.

        Args:
            key: of the line.
            version: of the line that was shown.
            kind: of the answer.
            text: what the line says, of kind ``text``.

        Raises:
            KeyError: there is no such line.
            StaleError: the line has another answer meanwhile.
            NotStoredError: the answer could not be stored, and is not given.
            CrnnError: the text cannot be a label.
        """
        text = unicodedata.normalize("NFC", text).strip() if kind == "text" else ""
        if kind == "text" and (fault := _fault(text)):
            raise CrnnError(fault)
        with self._lock:
            entry = self._by_key[key]
            if (entry.kind, entry.text) == (kind, text) and version != entry.version:
                return entry
            if version != entry.version:
                raise StaleError(entry)
            if (entry.kind, entry.text) != (kind, text) or kind == "skip":
                self._store([Record(entry.path, version + 1, kind, text)])
            self._order.answered()
            self._write_tables()
            return entry

    def next_for(self, window: str) -> tuple[Entry | None, Entry | None]:
        """See `Order.next_for`."""
        with self._lock:
            return self._order.next_for(window, self._entries.values(), all_read=self.all_read)

    def entry(self, key: str) -> Entry:
        """A line.

        Raises:
            KeyError: there is no such line.
        """
        return self._by_key[key]

    def progress(self) -> dict[str, Any]:
        """Returns the numbers of lines done and to do, for the page."""
        with self._lock:
            entries = list(self._entries.values())
            kinds = Counter(entry.kind for entry in entries)
            estimate = self._order.estimate(entries)
            unknown = Counter(
                character
                for entry in entries
                if entry.has_text
                for character in self.unknown(entry.text)
            )
            done = sum(entry.is_settled or entry.kind == "trusted" for entry in entries)
            failed = sum(path in self._failed for path in self._entries)
            return {
                "total": len(entries),
                "done": done,
                "left": len(entries) - done - failed,
                "typed": kinds["text"],
                "rejected": kinds["not-text"] + kinds["unreadable"],
                "skipped": kinds["skip"],
                "read": sum(entry.reading is not None for entry in entries),
                "all_read": self.all_read,
                "failed": list(self._failed.items())[:20],
                "failures": failed,
                "misnamed": len(self._pictures.misnamed),
                "unknown": unknown.most_common(20),
                "train": self._tables.sizes["train"],
                "dev": self._tables.sizes["dev"],
                "estimate": estimate and {
                    "accepted": estimate.accepted, "seen": estimate.seen,
                    "wrong": estimate.wrong, "interval": estimate.interval(),
                },
                "problem": " ".join(filter(None, self._problems.values())),
            }  # fmt: skip

    def unknown(self, text: str) -> Sequence[str]:
        """Characters that the reader does not have."""
        if text not in self._unknown:
            self._unknown[text] = self.alphabet.unknown(unicodedata.normalize("NFC", text))
        return self._unknown[text]

    def _store(self, records: Sequence[Record]) -> None:
        self._journal.append(records)
        for record in records:
            self._entries[record.path].take(record)

    def _trust(self) -> None:
        """Store what is accepted unseen, except what a person was quicker with."""
        waiting, self._trusted = self._trusted, []
        records = [each for each in waiting if self._entries[each.path].kind is None]
        if not records:
            return
        try:
            self._store(records)
        except NotStoredError as error:  # these lines are shown, then
            _LOG.error("%s", error)
            self._problems["reading"] = str(error)
            return
        self._write_tables()

    def _write_tables(self) -> None:
        try:
            self._tables.write(
                {entry.path: entry.text for entry in self._entries.values() if entry.has_text}
            )
        except NotStoredError as error:  # the answers themselves are stored
            _LOG.error("%s", error)
            self._problems["tables"] = str(error)
        else:
            self._problems["tables"] = ""


def _fault(text: str) -> str:
    """Says why a text cannot be a label; empty if it can."""
    if not text.strip():
        return "there is no text: reject the line if nothing is written on it"
    if len(text) > LONGEST:
        return f"the text has {len(text)} characters, more than {LONGEST}"
    if any(unicodedata.category(character) in _BAD for character in text):
        return "the text holds a line break, tab or control character: delete it"
    return ""
