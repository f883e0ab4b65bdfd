"""The containers' files, as far as they can be tried without a daemon that builds images."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doc_checks import EXTRAS, SETUP
from doc_pages import ROOT

DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
CPU = ROOT / "docker" / "cpu.Dockerfile"
NO_NETWORK = ("unshare", "--net", "--map-root-user")
UNREACHABLE = re.compile(
    "Failed to establish a new connection|Temporary failure in name resolution"
)


def instructions(path: Path) -> list[tuple[str, str]]:
    """Each instruction and its arguments, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if line.strip()]


def context(folder: Path) -> Path:
    """Returns the files that .dockerignore lets through, as a build sees them."""
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        source = ROOT / line.removeprefix("!").strip("/")
        if not line.startswith("!"):
            continue
        if source.is_dir():
            hidden = shutil.ignore_patterns("__pycache__", "results")
            shutil.copytree(source, folder / source.name, ignore=hidden)
        else:
            shutil.copy(source, folder)
    return folder


def test_there_are_two() -> None:
    assert [path.name for path in DOCKERFILES] == ["cpu.Dockerfile", "gpu.Dockerfile"]


def test_the_context_holds_every_package() -> None:
    folders = {line.split(" = ")[1] for line in SETUP["options"]["package_dir"].split("\n") if line}
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {
        line[1:-1] for line in ignored if line.startswith("!") and line.endswith("/")
    } == folders


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_what_reads_is_not_root_and_cannot_install(path: Path) -> None:
    steps = instructions(path)
    last = max(n for n, (name, _) in enumerate(steps) if name == "FROM")
    final = dict(steps[last:])
    assert final["USER"].isdecimal()
    assert final["USER"] != "0"
    assert final["ENTRYPOINT"] == '["crnn-infer"]'
    # Nothing of the build but what was installed, and that without what installs.
    assert final["COPY"] == "--from=build /opt/crnn /opt/crnn"
    assert "pip uninstall --yes setuptools pip" in dict(steps[:last])["RUN"]
    assert len({arguments.split()[0] for name, arguments in steps if name == "FROM"}) == 1


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_extras_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    named = re.findall(r"EXTRA=(\w+)", text) + re.findall(r'"\.\[(\w+)\]"', text)
    assert named
    assert set(named) <= EXTRAS


@pytest.mark.slow
def test_the_installation_reads_without_network(tmp_path: Path) -> None:
    """Its pip commands in a fresh environment, from what the build sees; then crnn-infer."""
    folder = context(tmp_path)
    environment = tmp_path / "crnn"
    (run,) = (text for name, text in instructions(CPU) if name == "RUN" and "bin/pip" in text)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for command in run.split(" && "):
        words = shlex.split(command.replace("/opt/crnn", str(environment)))
        words = [sys.executable if word == "python3" else word for word in words]
        words = [word for word in words if word != "--no-cache-dir"]  # that of an image's layer
        done = subprocess.run(
            words, cwd=folder, env=clean, capture_output=True, text=True, check=False
        )
        if UNREACHABLE.search(done.stderr):
            pytest.skip("no package registry can be reached")
        assert done.returncode == 0, done.stderr
    alone = subprocess.run([*NO_NETWORK, "true"], capture_output=True, check=False).returncode == 0
    read = subprocess.run(
        [*(NO_NETWORK if alone else ()), environment / "bin" / "crnn-infer", "digits", "lines"],
        cwd=ROOT / "examples", env=clean, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (read.returncode, read.stderr) == (0, "")
    expected = (ROOT / "examples" / "lines.tsv").read_text("utf-8")
    assert read.stdout.splitlines() == expected.splitlines()
    installed = {path.name for path in environment.glob("lib/*/site-packages/*")}
    assert not installed & {"torch", "torchvision", "onnx", "pip", "setuptools"}
    shutil.rmtree(environment)  # 320 MB, which pytest would keep
