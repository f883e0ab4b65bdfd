"""crnn-infer as a user runs it: in a process of its own."""

import errno
import json
import math
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from barcode import barcode_card, draw_barcode, write_barcode_reader
from refusals import assert_line, assert_usage_error

from crnn_runtime.cli.infer import format_line
from crnn_runtime.errors import install_command
from crnn_runtime.line import Alternative, Line
from crnn_runtime.picture.files import iter_paths


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("infer")
    write_barcode_reader(folder / "reader.onnx", barcode_card(head="greedy"))
    lines = folder / "行 é"
    lines.mkdir()
    for text in ("123", "4567", "89"):
        lines.joinpath(f"{text}.png").write_bytes(png(draw_barcode(text)))
    return folder


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def infer(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "crnn-infer", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )


def test_files_folders_globs_and_standard_input(folder: Path) -> None:
    expected = ["行 é/123.png\t123", "行 é/4567.png\t4567", "行 é/89.png\t89"]
    for arguments, stdin in (
        (("行 é/123.png", "行 é/4567.png", "行 é/89.png"), ""),
        (("行 é",), ""),
        (("*/*.png",), ""),
        (("-",), "行 é/123.png\n\n行 é/4567.png\r\n行 é/89.png"),
    ):
        result = infer(folder, "reader.onnx", *arguments, stdin=stdin)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.splitlines() == expected


def test_raw_shows_every_time_step(folder: Path) -> None:
    result = infer(folder, "reader.onnx", "--raw", "行 é/89.png")
    assert result.stdout == "行 é/89.png\t-8-9- => 89\n"


def test_json_is_one_object_a_line(folder: Path) -> None:
    result = infer(folder, "reader.onnx", "--json", "行 é")
    first = json.loads(result.stdout.splitlines()[0])
    assert first["path"] == "行 é/123.png"
    assert first["text"] == "123"
    assert first["confidence"] == pytest.approx(1, abs=1e-3)
    assert [(c["char"], c["x0"], c["x1"]) for c in first["chars"]] == [
        ("1", 8, 16),
        ("2", 24, 32),
        ("3", 40, 48),
    ]
    assert len(result.stdout.splitlines()) == 3


def test_json_of_an_impossible_alternative_is_valid() -> None:
    alternative = Alternative("1", -math.inf, -math.inf)
    line = Line("1", 0.0, "1", (), alternatives=(alternative,))
    shown = json.loads(format_line("x", line, raw=False, as_json=True), parse_constant=pytest.fail)
    assert shown["alternatives"] == [{"text": "1", "log_prob": None, "score": None}]


def test_bad_images_are_named_and_the_rest_is_read(folder: Path, tmp_path: Path) -> None:
    good = png(draw_barcode("31"))
    noise = png(np.random.default_rng(0).integers(0, 256, (32, 200), np.uint8))
    huge = bytearray(good)
    huge[16:24] = struct.pack(">II", 20_000, 20_000)
    bad = {
        "empty.png": b"",
        "half.png": noise[: len(noise) // 2],
        "huge.png": bytes(huge),
        "most.png": noise[: len(noise) * 9 // 10],
        "text.jpg": b"I am not a picture\n",
        "tall.png": png(np.zeros((5000, 3), np.uint8)),
        "long.png": png(np.zeros((4, 9000), np.uint8)),
    }
    for name, content in (bad | {"good.png": good}).items():
        tmp_path.joinpath(name).write_bytes(content)
    tmp_path.joinpath("bare", "folder.png").mkdir(parents=True)  # no image, whatever its name
    images = (".", "gone.png", "no*.png", "bare", "b*e")
    result = infer(tmp_path, str(folder / "reader.onnx"), *images)
    assert result.returncode == 1
    assert result.stdout == "good.png\t31\n"
    named = [line.split(":")[0] for line in result.stderr.splitlines()]
    assert named == [*sorted(bad), "gone.png", "no*.png", "bare", "bare"]  # one line each


def test_a_damaged_jpeg_is_read_with_a_warning(folder: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 200), np.uint8)
    whole = cv2.imencode(".jpg", picture)[1].tobytes()
    scan = whole.rindex(b"\xff\xda") + 20
    damaged = whole[:scan] + b"\xff\xd3" * 40 + whole[scan + 80 :]
    tmp_path.joinpath("damaged.jpg").write_bytes(damaged)
    tmp_path.joinpath("whole.jpg").write_bytes(whole)
    result = infer(tmp_path, str(folder / "reader.onnx"), "damaged.jpg", "whole.jpg")
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) == 2
    assert_line(result.stderr.removesuffix("\n"), "damaged.jpg", "warning")


def test_damage_is_told_of_the_right_picture_among_many(folder: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 200), np.uint8)
    whole = cv2.imencode(".jpg", picture)[1].tobytes()
    scan = whole.rindex(b"\xff\xda") + 20
    damaged = whole[:scan] + b"\xff\xd3" * 40 + whole[scan + 80 :]
    expected = []
    for number in range(150):
        bad = number * 7 % 10 < 3
        tmp_path.joinpath(f"{number:03}.jpg").write_bytes(damaged if bad else whole)
        expected += [f"{number:03}.jpg"] * bad
    result = infer(tmp_path, str(folder / "reader.onnx"), "--batch-size", "5", ".")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == expected
    assert len(result.stdout.splitlines()) == 150


def test_lines_appear_as_they_are_read(folder: Path) -> None:
    with subprocess.Popen(
        [Path(sys.executable).parent / "crnn-infer", "reader.onnx", "-"],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for names in (["123"], ["4567", "89"], ["89"]):
            process.stdin.write("".join(f"行 é/{name}.png\n" for name in names))
            # The list is still open: each line is waited for until it is there.
            assert [process.stdout.readline() for _ in names] == [
                f"行 é/{name}.png\t{name}\n" for name in names
            ]
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize(("images", "shown"), [(["行 é", "gone.png"], "4/4"), (["-"], " 3")])
def test_a_bar_is_shown_to_a_person_only(folder: Path, images: list[str], shown: str) -> None:
    terminal, other = os.openpty()
    done = subprocess.run(
        [Path(sys.executable).parent / "crnn-infer", "reader.onnx", *images],
        cwd=folder, stdout=subprocess.PIPE, stderr=other, text=True, check=False, timeout=60,
        input="行 é/123.png\n行 é/89.png\n行 é/4567.png\n",
    )  # fmt: skip
    os.close(other)
    written = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert len(done.stdout.splitlines()) == 3
    assert "lines" in written
    assert shown in written
    assert ("\x1b[Kgone.png: " in written) == (done.returncode == 1) == ("gone.png" in images)


def test_a_folder_is_walked_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.PNG", "a/b/c.jpg", "a.jpg", "note.txt", "c.png/d.webp", "d.JFIF"):
        tmp_path.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        tmp_path.joinpath(name).touch()
    tmp_path.joinpath("loop").symlink_to(tmp_path)
    tmp_path.joinpath("loop.png").symlink_to(tmp_path)
    tmp_path.joinpath("nowhere.png").symlink_to("gone.png")
    tmp_path.joinpath("z.png").symlink_to("b.png")
    found = [Path(path).relative_to(tmp_path).as_posix() for path in iter_paths([str(tmp_path)])]
    assert found[:6] == ["a/b/c.jpg", "a/z.PNG", "a.jpg", "b.png", "c.png/d.webp", "d.JFIF"]
    assert found[6:] == ["nowhere.png", "z.png"]


@pytest.mark.parametrize("size", ["auto", "1", "64"])
def test_the_batch_size_changes_nothing_that_is_read(folder: Path, size: str) -> None:
    result = infer(folder, "reader.onnx", "行 é", "--batch-size", size)
    assert [line.split("\t")[1] for line in result.stdout.splitlines()] == ["123", "4567", "89"]


@pytest.mark.parametrize("images", [["-"], ["行 é"] * 20_000], ids=["asking", "reading"])
def test_ctrl_c_ends_it_with_130(folder: Path, images: list[str]) -> None:
    with subprocess.Popen(
        [Path(sys.executable).parent / "crnn-infer", "reader.onnx", *images],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, bufsize=1,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("行 é/123.png\n")
        assert process.stdout.readline() == "行 é/123.png\t123\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "Interrupted\n")
    assert len(output.splitlines()) < 3 * len(images)


def test_paths_that_are_not_utf8(folder: Path, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(name)).write_bytes(png(draw_barcode("64")))
    result = subprocess.run(
        [Path(sys.executable).parent / "crnn-infer", folder / "reader.onnx", "-"],
        input=name + b"\n", capture_output=True, check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == name + b"\t64\n"
    result = subprocess.run(
        [Path(sys.executable).parent / "crnn-infer", folder / "reader.onnx", "--json", name],
        capture_output=True, check=False,
    )  # fmt: skip
    assert b"/caf\\udce9.png" in result.stdout
    assert json.loads(result.stdout.decode("utf-8"))["path"] == os.fsdecode(name)


def test_a_path_stays_in_its_field(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a\tb\nc.png"
    path.write_bytes(png(draw_barcode("64")))
    result = infer(tmp_path, str(folder / "reader.onnx"), path.name, "no\nfile.png")
    assert result.stdout == "a\\tb\\nc.png\t64\n"
    assert_line(result.stderr.removesuffix("\n"), "no\\nfile.png: ")


def test_standard_input_that_is_closed(folder: Path) -> None:
    command = f"exec {Path(sys.executable).parent / 'crnn-infer'} reader.onnx - <&-"
    result = subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert_usage_error(result, "standard input")


def test_a_full_disk_is_said_in_one_line(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [Path(sys.executable).parent / "crnn-infer", "reader.onnx", "行 é"],
            cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert result.returncode == 2
    assert_line(result.stderr.removesuffix("\n"), os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((), "MODEL"),
        (("reader.onnx",), "IMAGES"),
        (("reader.onnx", "x.png", "--raw", "--json"), "--json"),
        (("reader.onnx", "x.png", "--batch-size", "0"), "--batch-size"),
        (("reader.onnx", "x.png", "--batch-size", "all"), "all"),
        (("gone.onnx", "x.png"), "gone.onnx"),
        (("reader.pth", "x.png"), "reader.pth"),
        (("reader.onnx", "x.png", "--device", "tpu"), "tpu"),
    ],
)
def test_wrong_usage_exits_with_2(folder: Path, arguments: tuple[str], name: str) -> None:
    assert_usage_error(infer(folder, *arguments), name)


def test_a_device_that_is_missing_is_an_error(folder: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine's ONNX Runtime supports CUDA")
    result = infer(folder, "reader.onnx", "行 é", "--device", "cuda")
    assert len(result.stderr.splitlines()) == 1
    assert_usage_error(result, install_command("gpu"))
