"""Against a real Triton Inference Server on the loopback address."""

import base64
import json
import re
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from triton_here import post

from crnn_benchmarks.cases.serving.http_load import Connection, closed_loop, infer_request
from crnn_runtime import Line, Recognizer
from crnn_runtime.cli.infer import format_line
from crnn_runtime.picture.load import load_image
from crnn_runtime.picture.rotate import rotated
from crnn_serve.triton.local_server import TritonServer, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("triton"),
    pytest.mark.usefixtures("triton"),
]


@pytest.fixture(scope="module")
def server(triton: None) -> Iterator[TritonServer]:
    with served("digits", instances=2, max_batch=32) as (running, _):
        yield running


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


def test_pictures_upside_down_are_turned_if_asked() -> None:
    picture = load_image(Path(__file__).parents[3] / "docs" / "samples" / "latin.jpg", "bgr")
    sent = [cv2.imencode(".png", rotated(picture, degrees))[1].tobytes() for degrees in (0, 180)]
    with served("latin", instances=1, turn="auto") as (server, name):
        status, answer = post(server, infer_request(name, sent, ("text", "turned")))
    assert status == 200
    found = {output["name"]: output["data"] for output in answer["outputs"]}
    assert len(set(found["text"])) == 1
    assert found["turned"] == [0, 180]


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
        thread.join(30)
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


def test_more_requests_than_may_wait_are_refused_in_words(
    pictures: list[bytes], lines: list[Line]
) -> None:
    with served("digits", instances=1, max_queue=2, max_batch=8) as (server, name):
        load = closed_loop(server.port, [infer_request(name, pictures)], 200, 40)
        assert load.failures
        assert len(load.failures) < 200
        assert all(b"maximum queue size" in failure for failure in load.failures)
        assert_it_reads(server, pictures, lines)
