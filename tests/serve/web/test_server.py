"""The page's server under load, and what it refuses."""

import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from refusals import assert_line

pytest.importorskip("gradio", reason="the extra web is not installed")
httpx = pytest.importorskip("httpx", reason="the extra web is not installed")

from web_server import Served, many_lines, text_of  # noqa: E402 (needs what is asked for above)

LINES = Path(__file__).parents[3] / "examples" / "lines"
pytestmark = pytest.mark.xdist_group("web")  # one server for all


def test_a_hundred_clients_at_once_all_get_an_answer(server: Served) -> None:
    picture = server.upload(LINES / "3698.png")

    def ask(_: int) -> list[str]:
        answer = server.call("read", picture, "digits", "nothing", None)
        return text_of(answer[0]) if answer else []

    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(ask, range(100))) == [["3698"]] * 100


def test_clients_that_go_away_leave_nothing_behind(server: Served, tmp_path: Path) -> None:
    archive = server.upload(many_lines(tmp_path / "many.zip"))
    uploads = Path(archive["path"]).parents[1]
    others = set(uploads.glob("*/lines.csv"))
    url = f"{server.address}/gradio_api/call/read_many"
    asked = httpx.post(url, json={"data": [[archive], None, "digits", None, None]}, timeout=60)
    with httpx.stream("GET", f"{url}/{asked.json()['event_id']}", timeout=60) as answer:
        assert "event: generating" in answer.iter_lines()  # and away in the middle
    begun = set(uploads.glob("*/lines.csv")) - others
    half = (  # of a call, of an upload, of a line
        b"POST /gradio_api/call/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n",
        b"GET /gradio",
    )
    address = urlsplit(server.address)
    for sent in half:
        with socket.create_connection((str(address.hostname), int(address.port or 0))) as client:
            client.sendall(sent)
    # One visitor's pictures are read at a time: this one has to wait for the one who left.
    answer = server.call("read_many", None, ".", "digits", None, None)
    assert answer
    assert f"Read {len(list(LINES.glob('*.png')))} of" in answer[0]
    deadline = time.monotonic() + 30
    while any(table.exists() for table in begun):
        assert time.monotonic() < deadline, "what nobody will fetch is kept"
        time.sleep(0.05)
    picture = server.upload(LINES / "3698.png")
    assert text_of((server.call("read", picture, "digits", "nothing", None) or [""])[0]) == ["3698"]


def test_a_malformed_call_is_refused(server: Served) -> None:
    answers = (  # that none prints a traceback is seen when the server ends
        server.call("read", "x", "digits", "nothing", None),
        server.call("read"),
        server.call("read", {"path": 5}, 5, 5, 5),
        server.call("read_many", 5, ".", "digits", None, None),
        server.call("bring", True, None),
    )
    assert answers == (None,) * 5
    for name, data in (("read_many", [None, {}, "digits", None, None]), ("open", [["x"], None])):
        answer = server.call(name, *data)
        assert answer
        assert "cw-error" in str(answer)


def test_no_file_but_an_uploaded_one_is_read(server: Served) -> None:
    meta = {"_type": "gradio.FileData"}
    inside = str(LINES / "3698.png")
    for sent in ({"path": inside, "meta": meta}, {"path": inside}, {"path": "/etc/passwd"}):
        answer = server.call("read", sent, "digits", "nothing", None)
        assert answer is None or "give it again" in answer[0]
    assert server.call("read", {"path": "http://192.0.2.1/x.png", "meta": meta}, "digits",
                       "nothing", None) is None  # fmt: skip
    picture = server.upload(LINES / "3698.png")
    answer = server.call("read", picture, str(LINES / "x.onnx"), "nothing", {"x": "/x.onnx"})
    assert answer
    assert "There is no reader" in answer[0]


def test_an_upload_for_which_there_is_no_room_is_a_sentence(server: Served, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(100_000))
    files = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1000, files[1]))
    try:
        with pytest.raises(httpx.HTTPStatusError) as caught:
            server.upload(large)
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, files)
    assert caught.value.response.status_code == 507
    assert_line(caught.value.response.text, "File too large")


def test_a_folder_of_the_server_and_nothing_beside_it(server: Served) -> None:
    answer = server.call("read_many", None, ".", "digits", None, None)
    assert answer
    assert f"Read {len(list(LINES.glob('*.png')))} of" in answer[0]
    for below in ("..", "/", "../../tests", "3698.png", "\0"):
        refused = server.call("read_many", None, below, "digits", None, None)
        assert refused
        assert "below lines" in refused[0]
