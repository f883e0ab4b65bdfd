"""The layout: what is on disk is what gets installed, under one name only."""

import configparser
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from crnn_runtime.errors import install_command
from crnn_runtime.readers import reader_names
from crnn_runtime.readers.known import KNOWN

ROOT = Path(__file__).parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
MAPPED = dict(
    line.split(" = ") for line in SETUP["options"]["package_dir"].split("\n") if "=" in line
)


def test_every_package_on_disk_is_installed() -> None:
    on_disk = {
        ".".join((name, *path.parent.relative_to(ROOT / folder).parts))
        for name, folder in MAPPED.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert on_disk == set(SETUP["options"]["packages"].split())


def test_type_checkers_find_every_package() -> None:
    links = {path.name: path.resolve() for path in (ROOT / ".typing").iterdir()}
    assert links == {name: ROOT / folder for name, folder in MAPPED.items()}


@pytest.mark.parametrize(
    ("program", "arguments", "missing", "extra"),
    [
        ("crnn.cli.train", ["--synth", "digits"], "torch", "train"),
        ("crnn.cli.synth", ["--sheet", "x.png"], "PIL", "synth"),
        ("crnn_export.cli.export", ["--ckpt", "x.pth"], "torch", "train"),
        ("crnn_export.cli.export", ["--ckpt", "x.pth"], "onnx", "export"),
        ("crnn_serve.label.cli", ["--port", "0", "."], "uvicorn", "label"),
        ("crnn_serve.label.cli", ["--port", "0", "."], "fastapi", "label"),
    ],
)
def test_a_command_without_its_extra_names_it(
    program: str, arguments: list[str], missing: str, extra: str
) -> None:
    script = (
        f"import sys; sys.modules[{missing!r}] = None; "
        f"from {program} import main; main({arguments})"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith(install_command(extra))
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("folder", sorted(set(MAPPED.values()) - {"crnn"}))
def test_a_folder_is_not_importable_by_its_bare_name(folder: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", f"import {folder}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"import this package as crnn_{folder}" in result.stderr


@pytest.mark.parametrize(
    "program",
    [
        "crnn_runtime.cli.infer", "crnn_serve.bulk.cli", "crnn_serve.label.cli",
        "crnn_serve.web.cli",
    ],
)  # fmt: skip
def test_every_command_that_reads_lists_the_readers(program: str) -> None:
    result = CliRunner().invoke(import_module(program).main, ["--list"])
    assert result.exit_code == 0, result.output
    named = {line.partition("\t")[0] for line in result.output.splitlines() if "\t" in line}
    assert named - {""} == {*reader_names(), *KNOWN}
