"""A real Triton server whose folder changes, and models that it refuses."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from triton_here import post

from crnn_benchmarks.cases.serving.http_load import infer_request
from crnn_runtime import CrnnError, Line
from crnn_serve.triton import Serving, write_model
from crnn_serve.triton.local_server import TritonServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("triton"),
    pytest.mark.usefixtures("triton"),
]
PATIENCE = 30


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


def test_a_python_without_the_runtime_is_told_what_to_install(tmp_path: Path) -> None:
    write_model("digits", tmp_path, Serving(instances=1))
    with pytest.raises(CrnnError, match=r"EXECUTION_ENV_PATH"):
        TritonServer(tmp_path, with_runtime=False)


def test_a_version_that_was_damaged_is_named(tmp_path: Path) -> None:
    (written,) = write_model("digits", tmp_path, Serving(instances=1))
    (written.folder / "reader.onnx").write_bytes(b"garbage")
    with pytest.raises(CrnnError, match=r"digits/1/reader\.onnx"):
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
        (line,) = second.stderr.splitlines()
        assert port in line
        assert "--port" in line
        server.terminate()
        assert server.wait(60) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0
