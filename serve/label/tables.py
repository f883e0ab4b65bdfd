"""``train.tsv`` and ``dev.tsv``: written whole, and never over somebody else's."""

from collections.abc import Collection, Mapping
from pathlib import Path

from crnn_runtime import CrnnError
from crnn_runtime.files import write_atomically
from crnn_serve.label.journal import NotStoredError
from crnn_serve.label.split import for_validation

_Signature = tuple[int, int, int] | None


class Tables:
    """The two files that training reads.

    Args:
        folder: where they lie, with the pictures.
        pages: path → page, see `split.pages_of`.
        share: of the groups that go to ``dev.tsv``.
        known: (path, text) of every answer ever given: a row that is none of these was
            written by somebody else.

    Raises:
        CrnnError: there are files that this folder's journal did not make.
    """

    def __init__(
        self,
        folder: Path,
        pages: Mapping[str, str],
        share: float,
        known: Collection[tuple[str, str]],
    ) -> None:
        self._pages = pages
        self._share = share
        self._files = {side: folder / f"{side}.tsv" for side in ("train", "dev")}
        self._seen: dict[Path, _Signature] = {}
        self._content: dict[Path, bytes] = {}
        self.sizes = {"train": 0, "dev": 0}
        for file in self._files.values():
            _check_own(file, known)
            self._seen[file] = _signature(file)

    def write(self, texts: Mapping[str, str]) -> None:
        """Bring both files to what was answered.

        Args:
            texts: path → text, of the lines to train on.

        Raises:
            NotStoredError: a file cannot be written, or another program wrote it.
        """
        kept = for_validation(texts, self._pages, self._share)
        for side, file in self._files.items():
            rows = [
                f"{path}\t{text}\n"
                for path, text in sorted(texts.items())
                if (path in kept) == (side == "dev")
            ]
            self._write(file, "".join(rows).encode())
            self.sizes[side] = len(rows)

    def _write(self, file: Path, content: bytes) -> None:
        signature = _signature(file)
        if signature is not None and signature != self._seen[file]:
            raise NotStoredError(
                f"{file} was written by another program: move it away; the answers are safe in "
                "labels.jsonl"
            )
        if signature is not None and self._content.get(file) == content:
            return
        try:
            write_atomically(file, lambda part: part.write_bytes(content))
        except CrnnError as error:
            raise NotStoredError(
                f"{error}: the answers are safe in labels.jsonl; make room, the next answer "
                "writes the file"
            ) from error
        self._content[file] = content
        self._seen[file] = _signature(file)


def _check_own(file: Path, known: Collection[tuple[str, str]]) -> None:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise CrnnError(f"cannot read {file}: {error.strerror}") from error
    for number, line in enumerate(data.split(b"\n"), start=1):
        path, _, text = line.decode(errors="surrogateescape").partition("\t")
        if line and (path, text) not in known:
            raise CrnnError(
                f"{file}, line {number}, was not written by crnn-label and would be lost: "
                "move the file away"
            )


def _signature(file: Path) -> _Signature:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
