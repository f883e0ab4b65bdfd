"""The pictures of a part, one by one, each with what it is called."""

import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

from crnn_runtime.errors import CrnnError, ImageError
from crnn_runtime.picture.files import IMAGE_SUFFIXES
from crnn_runtime.picture.load import MAX_FILE_BYTES
from crnn_serve.bulk.sources import Columns, Item
from crnn_serve.bulk.store import one_line, open_address

Picture = tuple[str, Path | bytes | ImageError]
"""The name of a picture, and its file, its bytes, or the reason why it cannot be read."""

_AT_ONCE = 64
"""Pictures that are asked of a remote file system together; as many again are ahead."""


def fetch(items: Sequence[Item], columns: Columns) -> Iterator[Picture]:
    """The pictures of items, in order; what cannot be read is given as its error.

    Raises:
        CrnnError: a Parquet file has other columns than asked for.
    """
    for (kind, remote), run in groupby(items, lambda item: (item.kind, "://" in item.source)):
        if kind == "tar":
            for item in run:
                yield from _members(item.source)
        elif kind == "parquet":
            for item in run:
                yield from _rows(item, columns)
        elif remote:
            yield from _remote(run)
        else:  # files of this machine are read in the recognizer's threads
            yield from ((item.source, Path(item.source)) for item in run)


def _remote(items: Iterable[Item]) -> Iterator[Picture]:
    """Pictures of a remote file system: many are asked for at once, and ahead."""
    sources = [item.source for item in items]
    chunks = [sources[at : at + _AT_ONCE] for at in range(0, len(sources), _AT_ONCE)]
    with ThreadPoolExecutor(1, "crnn-fetch") as ahead:
        coming = ahead.submit(_together, chunks[0])
        for following in [*chunks[1:], None]:
            pictures = coming.result()
            if following is not None:
                coming = ahead.submit(_together, following)
            yield from pictures


def _together(sources: Sequence[str]) -> list[Picture]:
    files, _ = open_address(sources[0])
    paths = [files._strip_protocol(source) for source in sources]
    # Not `cat`, which takes names with brackets, stars and question marks for patterns.
    found = files.cat_ranges(paths, None, None, on_error="return")
    return [(source, _checked(content)) for source, content in zip(sources, found, strict=True)]


def _checked(content: object) -> bytes | ImageError:
    if isinstance(content, FileNotFoundError):
        return ImageError("cannot read the file: No such file or directory")
    if isinstance(content, Exception):
        return ImageError(f"cannot read the file: {one_line(content)}")
    if content is None:
        return ImageError("there is no picture in this row")
    if not isinstance(content, bytes):
        return ImageError(f"this row holds a {type(content).__name__}, not the bytes of a picture")
    return _too_large(len(content)) if len(content) > MAX_FILE_BYTES else content


def _rows(item: Item, columns: Columns) -> Iterator[Picture]:
    import pyarrow.parquet as pq  # noqa: PLC0415 (the extra)

    files, path = open_address(item.source)
    try:
        with files.open(path, "rb") as file, pq.ParquetFile(file, pre_buffer=False) as table:
            groups = range(table.num_row_groups) if item.group < 0 else [item.group]
            start = sum(table.metadata.row_group(n).num_rows for n in range(groups[0]))
            image = columns.image_in(table.schema_arrow.names, item.source)
            name = columns.name_in(table.schema_arrow.names, item.source)
            wanted = [image] if name in (None, image) else [image, name]
            seen = 0
            stop = None if item.lines is None else item.first + item.lines
            for batch in table.iter_batches(_AT_ONCE, row_groups=list(groups), columns=wanted):
                cut = batch.slice(max(0, item.first - seen))
                for offset, row in enumerate(cut.to_pylist()):
                    place = seen + batch.num_rows - cut.num_rows + offset
                    if stop is not None and place >= stop:
                        return
                    yield _row(row, image, name, f"{item.source}#{start + place}")
                seen += batch.num_rows
    except (OSError, ValueError) as error:
        if isinstance(error, CrnnError):
            raise
        yield item.source, ImageError(f"cannot read the Parquet file: {one_line(error)}")


def _row(row: dict[str, Any], image: str, name: str | None, place: str) -> Picture:
    content, called = row[image], row.get(name) if name else None
    if isinstance(content, dict):  # as Hugging Face's data sets hold them
        called = content.get("path") if called is None else called
        content = content.get("bytes")
    return place if called is None else str(called), _checked(content)


def _members(source: str) -> Iterator[Picture]:
    """The pictures of a tar archive, which is read from its start to its end."""
    files, path = open_address(source)
    count = 0
    try:
        with (
            files.open(path, "rb") as file,
            tarfile.open(fileobj=file, mode="r|*") as archive,
        ):
            for member in archive:
                if Path(member.name).suffix.lower() not in IMAGE_SUFFIXES:
                    continue
                name = f"{source}/{member.name}"
                if member.size > MAX_FILE_BYTES:  # which is not to be read at all
                    yield name, _too_large(member.size)
                elif member.islnk() or member.issym():  # read once, there is no way back
                    yield name, _link(member.linkname)
                elif (content := archive.extractfile(member)) is not None:
                    yield name, content.read()
                else:
                    continue
                count += 1
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        reason = f"cannot read the archive after {count} pictures: {one_line(error)}"
        yield source, ImageError(reason)
    else:
        if not count:
            yield source, ImageError("no picture in this archive")


def _link(target: str) -> ImageError:
    return ImageError(
        f"it is a link to {' '.join(target.split())}: pack the files themselves "
        "(tar --dereference --hard-dereference)"
    )


def _too_large(size: int) -> ImageError:
    return ImageError(f"the picture has {size / 1e6:.0f} MB, more than {MAX_FILE_BYTES // 10**6}")
