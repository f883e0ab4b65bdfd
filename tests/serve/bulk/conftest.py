"""A reader as workers get it, and files in memory; the extra bulk is imported at first use."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import fsspec

    from crnn_serve.bulk.model import Reader


@pytest.fixture(scope="module")
def reader() -> "Reader":
    from bulk_lines import MODEL

    from crnn_runtime import Decoding
    from crnn_serve.bulk.model import pack

    return pack(MODEL, Decoding(), None)


@pytest.fixture
def memory() -> "Iterator[fsspec.AbstractFileSystem]":
    import fsspec

    files = fsspec.filesystem("memory")
    yield files
    files.rm("/", recursive=True)
