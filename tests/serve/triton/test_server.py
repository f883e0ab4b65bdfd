"""Against a real Triton Inference Server on the loopback address."""

import base64
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from crnn_benchmarks.harness.http_load import Connection, closed_loop, infer_request
from crnn_runtime import CrnnError, Line, Recognizer
from crnn_runtime.cli.infer import format_line
from crnn_serve.triton import Serving, write_model
from crnn_serve.triton.local_server import TritonServer, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("triton"),
    pytest.mark.usefixtures("triton"),
]
PATIENCE = 30


@pytest.fixture(scope="module")
def server(triton: None) -> Iterator[TritonServer]:
    with served("digits", instances=2, max_batch=32) as (running, _):
        yield running


@pytest.fixture(scope="module")
def lines(pictures: list[bytes]) -> list[Line]:
    with Recognizer("digits", threads=1) as recognizer:
        return recognizer.read(pictures)


def post(server: TritonServer, request: bytes) -> tuple[int, Any]:
    connection = Connection.open(server.port)
    connection.ask(request)
    status, body = connection.answer()
    connection.socket.close()
    return status, json.loads(body)


def ask(server: TritonServer, images: Sequence[bytes]) -> dict[str, list[Any]]:
    status, content = post(server, infer_request("digits", images))
    assert status == 200, content
    return {output["name"]: output["data"] for output in content["outputs"]}


def ask_json(server: TritonServer, content: object, name: str = "digits") -> tuple[int, Any]:
    body = json.dumps(content).encode()
    head = (
        f"POST /v2/models/{name}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return post(server, head.encode() + body)


def assert_it_reads(server: TritonServer, pictures: Sequence[bytes], lines: list[Line]) -> None:
    assert ask(server, pictures)["text"] == [line.text for line in lines]


def test_it_reads_what_the_runtime_reads(
    server: TritonServer, pictures: list[bytes], lines: list[Line]
) -> None:
    answer = ask(server, pictures)
    assert answer["text"] == [line.text for line in lines]
    assert answer["confidence"] == pytest.approx([line.confidence for line in lines], abs=1e-4)
    assert answer["error"] == [""] * len(lines)
    for characters, line in zip(answer["characters"], lines, strict=True):
        printed = json.loads(format_line("x", line, raw=False, as_json=True))
        assert json.loads(characters) == printed["chars"]


def test_requests_of_many_widths_at_once_are_read_as_alone(
    server: TritonServer, pictures: list[bytes]
) -> None:
    stretched = []
    for number in range(48):
        picture = cv2.imdecode(np.frombuffer(pictures[number % 8], np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        width = round(picture.shape[1] * (0.7 + number / 60))
        resized = cv2.resize(picture, (width, picture.shape[0]), interpolation=cv2.INTER_AREA)
        stretched.append(cv2.imencode(".png", resized)[1].tobytes())
    assert len({len(picture) for picture in stretched}) > 40
    with Recognizer("digits", threads=1) as recognizer:
        alone = [recognizer.read([picture])[0] for picture in stretched]
    answers = closed_loop(server.port, [infer_request("digits", [p]) for p in stretched], 480, 16)
    assert not answers.failures
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda picture: ask(server, [picture]), stretched * 3))
    assert [answer["text"] for answer in found] == [[line.text] for line in alone * 3]
    confidences = [answer["confidence"][0] for answer in found]
    assert confidences == pytest.approx([line.confidence for line in alone * 3], abs=1e-4)


def test_a_bad_image_costs_its_own_line_only(
    server: TritonServer, pictures: list[bytes], lines: list[Line]
) -> None:
    bad = [b"", b"garbage", pictures[0][:200], bytes(17_000_000)]
    answer = ask(server, [pictures[0], *bad, pictures[1]])
    assert answer["text"] == [lines[0].text, "", "", "", "", lines[1].text]
    assert [bool(error) for error in answer["error"]] == [False, True, True, True, True, False]
    assert "empty" in answer["error"][1]
    assert "17,000,000 bytes, more than 16,000,000" in answer["error"][4]
    assert answer["confidence"][1:5] == [0, 0, 0, 0]


def test_curl_sends_a_file_as_it_is(
    server: TritonServer, pictures: list[bytes], lines: list[Line]
) -> None:
    connection = Connection.open(server.port)
    head = (
        "POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: 0\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(pictures[0])}\r\n\r\n"
    )
    connection.ask(head.encode() + pictures[0])
    status, body = connection.answer()
    assert status == 200
    assert lines[0].text.encode() in body


def test_json_takes_data_urls(
    server: TritonServer, pictures: list[bytes], lines: list[Line]
) -> None:
    good = "data:image/png;base64," + base64.b64encode(pictures[0]).decode()
    data = [good, "data:image/png;base64,x", "data:image/png,x"]
    tensor = {"name": "image", "shape": [3, 1], "datatype": "BYTES", "data": data}
    wanted = [{"name": "text"}, {"name": "error"}]
    status, content = ask_json(server, {"inputs": [tensor], "outputs": wanted})
    assert status == 200
    texts, errors = (output["data"] for output in content["outputs"])
    assert texts == [lines[0].text, "", ""]
    assert [error[:10] for error in errors] == ["", "the base64", "a data: UR"]


@pytest.mark.parametrize("megabytes", [6, 24])
def test_large_json_has_an_answer(
    server: TritonServer, megabytes: int, pictures: list[bytes], lines: list[Line]
) -> None:
    # Zeros behind a PNG's end are passed over.
    padded = pictures[0] + bytes(megabytes * 750_000 - len(pictures[0]))
    data = ["data:image/png;base64," + base64.b64encode(padded).decode()]
    tensor = {"name": "image", "shape": [1, 1], "datatype": "BYTES", "data": data}
    status, content = ask_json(server, {"inputs": [tensor]})
    assert status == 200
    found = {output["name"]: output["data"] for output in content["outputs"]}
    if megabytes == 6:
        assert found["text"] == [lines[0].text]
    else:
        (error,) = found["error"]
        assert re.match(r"image has 18,000,0\d\d bytes, more than 16,000,000", error)
    assert_it_reads(server, pictures, lines)


@pytest.mark.parametrize("body", ["{", "{}", " " * 8_000_000])
def test_json_that_cannot_be_read_is_answered(server: TritonServer, body: str) -> None:
    head = f"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
    status, content = post(server, f"{head}\r\n\r\n{body}".encode())
    assert status == 500
    assert content["error"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"inputs": []}, "expected 1 inputs but got 0"),
        (
            {"inputs": [{"name": "image", "shape": [40, 1], "datatype": "BYTES",
                         "data": ["x"] * 40}]},
            "batch-size must be <= 32",
        ),
        (
            {"inputs": [{"name": "image", "shape": [1, 1], "datatype": "FP32", "data": [1]}]},
            "data-type",
        ),
    ],
)  # fmt: skip
def test_requests_that_are_wrong_are_refused(
    server: TritonServer, content: object, message: str
) -> None:
    status, answer = ask_json(server, content)
    assert status == 400
    assert message in answer["error"]


def test_garbage_half_a_request_and_clients_that_leave_harm_nobody(
    server: TritonServer, pictures: list[bytes], lines: list[Line]
) -> None:
    whole = infer_request("digits", pictures)
    sizes = re.sub(rb"(\r\nContent-Length: )\d+", rb"\g<1>20", whole.partition(b"{")[0])
    for request in (
        bytes(range(256)) * 8,
        whole[: len(whole) // 2],
        whole[:30],
        sizes + b"\xff" * 20,
        whole,
    ):
        for _ in range(5):
            client = socket.create_connection(("127.0.0.1", server.port))
            client.sendall(request)
            client.close()  # without waiting for an answer
    assert_it_reads(server, pictures, lines)
    assert len(server.pids()) == 3


def test_a_hundred_clients_at_once_are_all_answered(
    server: TritonServer, pictures: list[bytes], lines: list[Line]
) -> None:
    answers: dict[tuple[int, int], list[str]] = {}

    def client(number: int) -> None:
        for turn in range(3):
            answers[number, turn] = ask(server, [pictures[number % 8]])["text"]

    threads = [threading.Thread(target=client, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == {
        (number, turn): [lines[number % 8].text] for number in range(100) for turn in range(3)
    }


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_stopped_answers_what_is_under_way(
    how: signal.Signals, pictures: list[bytes], lines: list[Line]
) -> None:
    with served("digits", instances=1) as (server, name):
        instances = server.pids()[1:]
        clients = [Connection.open(server.port) for _ in range(8)]
        request = infer_request(name, pictures * 8)
        for client in clients:
            client.ask(request)
        clients[0].answer()  # so all were taken
        server.process.send_signal(how)
        for client in clients[1:]:
            status, body = client.answer()
            assert status == 200
            assert json.loads(body)["outputs"][0]["data"] == [line.text for line in lines] * 8
        for client in clients:
            client.socket.close()
        assert server.stop(how) == 0
        assert not [pid for pid in instances if Path(f"/proc/{pid}").exists()]


def wait_for(condition: Callable[[], bool], server: TritonServer) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, server.log
        time.sleep(0.05)


def test_versions_replaced_under_a_running_server_lose_no_request(
    tmp_path: Path, pictures: list[bytes], lines: list[Line]
) -> None:
    write_model("digits", tmp_path, Serving(instances=1))
    # After a version that failed to load this server waits for its whole exit timeout.
    polled = (
        "--model-control-mode=poll",
        "--repository-poll-secs=1",
        "--exit-timeout-secs=3",
    )
    seen: list[tuple[int, Any]] = []
    done = threading.Event()

    def version() -> str:
        return str(seen[-1][1].get("model_version")) if seen else ""

    with TritonServer(tmp_path, *polled) as server:

        def client() -> None:
            while not done.is_set():
                seen.append(post(server, infer_request("digits", pictures[:1], ["text"])))

        thread = threading.Thread(target=client)
        thread.start()
        try:
            wait_for(lambda: version() == "1", server)
            write_model("digits", tmp_path, Serving())
            wait_for(lambda: version() == "2", server)
            # Overwritten in place, and by garbage: what was loaded goes on.
            (tmp_path / "digits" / "2" / "reader.onnx").write_bytes(b"garbage")
            wait_for(lambda: "is not a whole ONNX model" in server.log, server)
            count = len(seen)
            wait_for(lambda: len(seen) > count + 20, server)
            write_model("digits", tmp_path, Serving())
            wait_for(lambda: version() == "3", server)
        finally:
            done.set()
            thread.join(PATIENCE)
    assert {status for status, _ in seen} == {200}, [a for s, a in seen if s != 200][:3]
    assert {answer["outputs"][0]["data"][0] for _, answer in seen} == {lines[0].text}
    assert {answer["model_version"] for _, answer in seen} == {"1", "2", "3"}


def test_more_requests_than_may_wait_are_refused_in_words(
    pictures: list[bytes], lines: list[Line]
) -> None:
    with served("digits", instances=1, max_queue=2, max_batch=8) as (server, name):
        load = closed_loop(server.port, [infer_request(name, pictures)], 200, 40)
        assert load.failures
        assert len(load.failures) < 200
        assert all(b"maximum queue size" in failure for failure in load.failures)
        assert_it_reads(server, pictures, lines)


def test_a_python_without_the_runtime_is_told_what_to_install(tmp_path: Path) -> None:
    write_model("digits", tmp_path, Serving(instances=1))
    with pytest.raises(CrnnError, match=r"crnn_runtime cannot be imported .* EXECUTION_ENV_PATH"):
        TritonServer(tmp_path, with_runtime=False)


def test_a_version_that_was_damaged_is_named(tmp_path: Path) -> None:
    (written,) = write_model("digits", tmp_path, Serving(instances=1))
    (written.folder / "reader.onnx").write_bytes(b"garbage")
    with pytest.raises(CrnnError, match=r"digits/1/reader\.onnx is not a whole ONNX model"):
        TritonServer(tmp_path)


@pytest.mark.parametrize("buckets", [(), (64, 320)])
def test_the_server_accepts_a_plain_config(buckets: tuple[int, ...], tmp_path: Path) -> None:
    """As far as it goes: the server of the package has no backend to run it with."""
    write_model("digits", tmp_path, Serving(plain=True, buckets=buckets))
    with pytest.raises(CrnnError) as caught:
        TritonServer(tmp_path, "--disable-auto-complete-config")
    names = [f"digits-w{width}" for width in buckets] or ["digits"]
    for name in names:
        assert f"failed to load '{name}' version 1: Invalid argument: unable to find backend" in (
            str(caught.value)
        )
    config = tmp_path / names[0] / "config.pbtxt"
    config.write_text(config.read_text().replace("TYPE_FP32", "TYPE_FP99"))
    with pytest.raises(CrnnError, match="TYPE_FP99"):
        TritonServer(tmp_path, "--disable-auto-complete-config")


def test_the_command_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    write_model("digits", tmp_path / "models", Serving(instances=1))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "crnn_serve.triton.local_server", str(tmp_path / "models")]
    with subprocess.Popen([*command, "--port", port], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith(f"Serving digits at http://127.0.0.1:{port}")
        second = subprocess.run(
            [*command, "--port", port], capture_output=True, text=True, check=False
        )
        assert second.returncode == 2
        assert second.stderr == (
            f"Error: something listens on port {port} already: choose another with --port\n"
        )
        server.terminate()
        assert server.wait(60) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0
