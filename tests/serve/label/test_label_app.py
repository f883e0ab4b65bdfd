"""The page's requests, as a browser makes them and as others do."""

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra label is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from click.testing import CliRunner
from fastapi.testclient import TestClient

from crnn_runtime import Recognizer
from crnn_runtime.readers import reader_path
from crnn_serve.guard import Guard
from crnn_serve.label.app import GATE, build
from crnn_serve.label.cli import main
from crnn_serve.label.labels import Labels
from crnn_serve.label.reading import reading

LINES = Path(__file__).parents[3] / "examples" / "lines"
HOSTS = frozenset({"localhost", "127.0.0.1"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("92", "3698"):
        shutil.copy(LINES / f"{name}.png", tmp_path)
    (tmp_path / "broken.png").write_bytes((LINES / "92.png").read_bytes()[:60])
    return tmp_path


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with Recognizer(reader_path("digits"), threads=1) as recognizer:
        labels = Labels(folder, recognizer.card.alphabet)
        with reading(recognizer, labels):
            while not labels.all_read:
                pass
            app = Guard(build(labels, "lines"), GATE, HOSTS)
            yield TestClient(app, base_url="http://localhost:7861")
        labels.close()


def _answered(client: TestClient, **changes: object) -> int:
    line = client.get("/api/next?window=w").json()["line"]
    given = {"key": line["key"], "version": line["version"], "kind": "text", "text": line["text"],
             "window": "w", **changes}  # fmt: skip
    status: int = client.post("/api/answer", json=given).status_code
    return status


def test_lines_are_read_shown_and_answered(client: TestClient, folder: Path) -> None:
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert client.get("/label.js").status_code == client.get("/label.css").status_code == 200
    assert client.get("/api/alphabet").json()["entries"] == list("0123456789")
    first = client.get("/api/next?window=w").json()
    assert first["progress"]["failures"] == 1
    picture = client.get(f"/picture/{first['line']['key']}")
    image = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert picture.headers["x-source-width"] == str(image.shape[1])
    assert _answered(client) == _answered(client) == 200
    assert client.get("/api/next?window=w").json()["line"] is None
    rows = "".join((folder / f"{side}.tsv").read_text() for side in ("train", "dev"))
    assert sorted(rows.splitlines()) == ["3698.png\t3698", "92.png\t92"]


def test_an_older_answer_gets_the_newer_one(client: TestClient) -> None:
    line = client.get("/api/next?window=w").json()["line"]
    given = {"key": line["key"], "version": 0, "kind": "text", "text": "1", "window": "w"}
    assert client.post("/api/answer", json=given).status_code == 200
    refused = client.post("/api/answer", json={**given, "text": "2"})
    assert refused.status_code == 409
    assert (refused.json()["line"]["text"], refused.json()["line"]["version"]) == ("1", 1)
    assert client.get(f"/api/line/{line['key']}").json()["text"] == "1"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"key": "../../etc/passwd"}, 404), ({"key": 3}, 400), ({"version": "0"}, 400),
        ({"kind": "trusted"}, 400), ({"kind": ["text"]}, 400), ({"text": None}, 400),
        ({"text": "a\nb"}, 422), ({"text": ""}, 422), ({"window": 1}, 400),
    ],
)  # fmt: skip
def test_what_the_page_would_not_send_is_refused(
    client: TestClient, folder: Path, changes: dict[str, object], status: int
) -> None:
    assert _answered(client, **changes) == status
    assert not any((folder / f"{side}.tsv").read_text() for side in ("train", "dev"))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "rebound.example:7861"}, 403), ({"origin": "http://example.com"}, 403),
        ({"origin": "null"}, 403), ({"content-type": "text/plain"}, 415),
        ({"origin": "http://localhost:7861"}, 200),
    ],
)  # fmt: skip
def test_pages_of_other_sites_cannot_answer(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    line = client.get("/api/next?window=w").json()["line"]
    given = {"key": line["key"], "version": 0, "kind": "text", "text": "1"}
    assert client.post("/api/answer", json=given, headers=headers).status_code in (status, 422)
    changed = client.get(f"/api/line/{line['key']}").json()["version"]
    assert changed == (status == 200)


def test_no_file_but_the_lines_is_given_out(client: TestClient) -> None:
    for path in ("/picture/labels", "/picture/..%2flabels.jsonl", "/labels.jsonl", "/docs",
                 "/label.js/../../cli.py", "/api/line/none"):  # fmt: skip
        assert client.get(path).status_code == 404


def test_a_full_disk_is_told_and_the_answer_may_be_given_again(
    client: TestClient, folder: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = (folder / "labels.jsonl").read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
    try:
        assert _answered(client) == 507
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (folder / "labels.jsonl").read_bytes() == before
    assert _answered(client) == 200


def test_what_cannot_be_labelled_is_one_line(tmp_path: Path, folder: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    wrong = [
        [str(empty)],
        [str(tmp_path / "none")],
        [str(folder), "--reader", "none.onnx"],
        [str(folder), "--device", "x"],
    ]
    (folder / "train.tsv").write_text("92.png\t29\n")
    for arguments in [*wrong, [str(folder)]]:
        result = CliRunner().invoke(main, ["--port", "0", "--reader", "digits", *arguments])
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
