"""Files that are written whole or not at all."""

import errno
from pathlib import Path

import pytest
from refusals import refused

from crnn_runtime.files import write_atomically


def test_a_mount_that_is_read_only_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses to remove even what is not there."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with refused("x.txt", "Read-only file system"):
        write_atomically(tmp_path / "x.txt", refuse)
