"""The folder that a page's commands run in, and how they are run there."""

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from click.testing import CliRunner
from doc_checks import SCRIPTS, click_command
from doc_pages import (
    APPENDS,
    REPLACES,
    ROOT,
    Block,
    Command,
    parts_of,
    pattern_of,
    without_comment,
)
from han_font import write_han_font

from crnn.recipes import load_recipe
from crnn_runtime.readers import reader_path

LINES = ("368223870159", "3698", "7", "92", "94234651", "9580510029")
PLATES = {
    "train": ("京PL3N67", "皖A12B34", "皖AC5D67", "皖A8E9F0", "苏GH1J23", "皖AK4L56"),
    "dev": ("湘E269JY", "浙C510W8", "皖AM7N89", "豫PQ0R12"),
}
# They start in a moment and print through descriptors that only a process of its own has, or
# leave threads behind.
_AS_PROCESS = ("crnn-infer", "crnn-lm", "crnn-bulk")


def build_sandbox(folder: Path) -> Path:
    """Write every file that the pages name as the reader's own.

    ``line.jpg``, ``3698.png``, ``folder/`` and ``scans/`` hold lines of digits,
    ``reader.onnx`` reads them; ``D/`` and ``plates/`` are data sets.
    """
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(ROOT / "docs" / "samples", folder / "docs" / "samples")
    lines = folder / "examples" / "lines"
    shutil.copy(reader_path("digits"), folder / "reader.onnx")
    for name in ("folder", "scans", "lines"):
        (folder / name).mkdir()
        for text in LINES:
            shutil.copy(lines / f"{text}.png", folder / name)
    shutil.copy(lines / "3698.png", folder)
    shutil.copy(lines / "92.png", folder / "line.png")
    picture = cv2.imread(str(lines / "92.png"))
    assert picture is not None
    cv2.imwrite(str(folder / "line.jpg"), picture)
    (folder / "alphabet.txt").write_text("\n".join("0123456789") + "\n", "utf-8")
    (folder / "lines.txt").write_text("\n".join(LINES) + "\n", "utf-8")
    (folder / "names.txt").write_text("92\n3698\n1234567\n", "utf-8")
    for part, texts in (("train", LINES), ("dev", LINES[:3])):
        _write_data(
            folder / "D", part, {text: (lines / f"{text}.png").read_bytes() for text in texts}
        )
    noise = np.random.default_rng(0)
    for part, texts in PLATES.items():
        photos = {text: noise.integers(0, 256, (24, 94, 3), np.uint8) for text in texts}
        encoded = {text: cv2.imencode(".jpg", photo)[1].tobytes() for text, photo in photos.items()}
        _write_data(folder / "plates", part, encoded, ".jpg")
    _write_other_projects(folder)
    write_han_font(folder / "bars.ttf", f"的{load_recipe('plates')['alphabet']}")
    return folder


def _write_data(root: Path, part: str, pictures: dict[str, bytes], suffix: str = ".png") -> None:
    (root / "images").mkdir(parents=True, exist_ok=True)
    for text, data in pictures.items():
        (root / "images" / f"{text}{suffix}").write_bytes(data)
    labels = "".join(f"images/{text}{suffix}\t{text}\n" for text in pictures)
    (root / f"{part}.tsv").write_text(labels, "utf-8")


def _write_other_projects(folder: Path) -> None:
    """``paddle/`` and ``easy/``: the same lines as PaddleOCR and EasyOCR list them."""
    for name in ("paddle", "easy"):
        shutil.copytree(folder / "D" / "images", folder / name)
    for part, texts in (("train", LINES), ("val", LINES[:3])):
        labels = "".join(f"{text}.png\t{text}\n" for text in texts)
        (folder / "paddle" / f"{part}_list.txt").write_text(labels, "utf-8")
    (folder / "paddle" / "dict.txt").write_text("\n".join("0123456789") + "\n \n", "utf-8")
    labels = "".join(f"{text}.png,{text}\n" for text in LINES[:3])
    (folder / "easy" / "labels.csv").write_text(f"filename,words\n{labels}", "utf-8")


def is_run(command: Command) -> bool:
    """Whether a command is run here: what installs, and development's targets, are not."""
    return all(
        words[0] not in ("pip", "make", "apt-get", "apt") for words in parts_of(command.text)
    )


def is_short(block: Block, command: Command) -> bool:
    """Whether a command takes seconds: training and measuring must have been shortened."""
    long = ("crnn-train", "crnn-bench", "python")
    quick = ("--check", "--list", "--help", "--test-only", "footprint")
    return (
        block.remark in (APPENDS, REPLACES)
        or not command.text.startswith(long)
        or any(word in command.text for word in quick)
    )


def run_command(command: Command, folder: Path) -> tuple[int, str]:
    """Run a line in a sandbox: exit status, and all that it prints.

    A single crnn command runs in this process, so that PyTorch is loaded once; whatever
    needs a shell, in bash.
    """
    programs = parts_of(command.text)
    name = programs[0][0]
    needs_shell = len(programs) > 1 or any(sign in command.text for sign in ("<", ">", "*"))
    if name in SCRIPTS and name not in _AS_PROCESS and not needs_shell:
        words = shlex.split(without_comment(command.text))[1:]
        with contextlib.chdir(folder):
            result = CliRunner().invoke(click_command(name), words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output
    done = subprocess.run(
        ["bash", "-c", command.text],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@contextlib.contextmanager
def kept_running(command: Command, folder: Path) -> Iterator[None]:
    """A program that serves: until it prints what the page shows, and to the end of the page."""
    expected = pattern_of(command.output)
    with subprocess.Popen(
        ["bash", "-c", f"exec {command.text}"],
        env=_environment(),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            printed = ""
            while not expected.fullmatch(printed):
                line = process.stdout.readline()
                assert line, f"{command.where}: $ {command.text}\n{printed}and then it ends"
                printed += line
            yield
        finally:
            process.terminate()


def free_port() -> int:
    """Returns a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_program(block: Block, names: dict[str, object], folder: Path) -> None:
    """Run a Python block in a sandbox, with the names that blocks before it have made."""
    with contextlib.chdir(folder):
        exec(compile("\n" * block.number + block.text, str(block.page), "exec"), names)
