"""Files of visitors are removed, whether they finish or not."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from crnn_serve.web.scratch import sweep


def test_what_is_old_goes_and_what_is_spared_stays(tmp_path: Path) -> None:
    example = tmp_path / "a1" / "digits-1.png"
    broken, table = tmp_path / "tmpx1", tmp_path / "tmpx2" / "lines.csv"
    for path in (example, broken, table):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    sweep(tmp_path, 0.0)
    assert len(list(tmp_path.rglob("*"))) == 6
    spared = {example, example.parent}
    later = time.time() + 60
    sweep(tmp_path, later, spared)
    sweep(tmp_path, later, spared)  # once more for a folder that was just emptied
    assert set(tmp_path.rglob("*")) == spared
    sweep(tmp_path / "gone", later)


@pytest.mark.slow  # nothing is kept for less than ten seconds
def test_an_upload_that_breaks_off_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio", reason="the extra web is not installed")
    from web_server import served

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with served(tmp_path / "asked", "--keep", "10") as server:
        (folder,) = tmp_path.glob("crnn-web-*")
        before = set(folder.rglob("*"))
        address = urlsplit(server.address)
        with socket.create_connection((address.hostname, address.port)) as client:
            client.sendall(
                b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n"
                b"Content-Length: 9000000\r\n\r\n--x\r\n"
                b'Content-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
                + bytes(3_000_000)
            )
            assert _soon(lambda: set(folder.glob("tmp*")) - before), "the upload did not begin"
        assert _soon(lambda: set(folder.rglob("*")) == before), "the upload stayed"
        assert len(before) > 1, "the examples are there"


def _soon(true: Callable[[], object]) -> bool:
    """Whether something comes true within a minute."""
    end = time.monotonic() + 60
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
