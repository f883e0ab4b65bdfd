"""The layout: what is on disk is what gets installed, under one name only."""

import configparser
import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from crnn_runtime.cli.crnn import COMMANDS
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


def test_crnn_lists_every_program_that_is_installed() -> None:
    lines = SETUP["options.entry_points"]["console_scripts"].strip().splitlines()
    programs = dict(line.split(" = ") for line in lines)
    named = {f"crnn-{name}": f"{e.module}:{e.function}" for name, e in COMMANDS.items()}
    assert programs == {"crnn": "crnn_runtime.cli.crnn:main"} | named


def test_type_checkers_find_every_package() -> None:
    links = {path.name: path.resolve() for path in (ROOT / ".typing").iterdir()}
    assert links == {name: ROOT / folder for name, folder in MAPPED.items()}


@pytest.mark.parametrize(
    ("program", "arguments", "missing", "extra"),
    [
        ("crnn.cli.train", ["--synth", "digits"], "torch", "train"),
        ("crnn.cli.synth", ["--sheet", "x.png"], "PIL", "synth"),
        ("crnn_export.cli.export", ["--ckpt", "x.pth"], "torch", "train"),
        ("crnn_export.cli.export", ["--ckpt", "x.pth"], "onnx", "train"),
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


DATA = (
    "runtime/readers/*.onnx", "runtime/model/alphabets/*.txt", "crnn/recipes/*.toml",
    "crnn/synth/*/*.sh", "crnn/synth/*/debian-*.txt", "serve/label/page/*", "serve/web/*.css",
    "serve/web/examples/*", "*/py.typed",
)  # fmt: skip


INSIDE = ("README.md", "CHANGELOG.md", "LICENSE", "NOTICE")


def one_build(test: Callable[..., None]) -> Callable[..., None]:
    """In one worker: each builds anew."""
    return pytest.mark.slow(pytest.mark.xdist_group("distribution")(test))


class Built(NamedTuple):
    sdist: Path
    wheel: Path
    """Made of the sdist."""
    direct: Path
    """Made of the folder."""


def build(source: Path, out: Path, *options: str) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, *options, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """From a copy: a build leaves folders beside its source."""
    folder = tmp_path_factory.mktemp("distribution")
    source = folder / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "MANIFEST.in", *INSIDE):
        shutil.copy(ROOT / name, source)
    (source / "tests").mkdir()
    shutil.copy(__file__, source / "tests")
    for name in MAPPED.values():
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build(source, folder / "dist")
    build(source, folder / "direct", "--wheel")
    (sdist,), (wheel,) = (folder.glob(f"dist/*{end}") for end in (".tar.gz", ".whl"))
    (direct,) = folder.glob("direct/*.whl")
    return Built(sdist, wheel, direct)


def contents(wheel: Path) -> dict[str, str]:
    """File → SHA-256 of what it holds."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}


@one_build
def test_the_sdist_makes_the_wheel_that_the_folder_makes(built: Built) -> None:
    assert built.wheel.name == built.direct.name
    assert contents(built.wheel) == contents(built.direct)


@one_build
def test_the_sdist_has_what_people_read_and_no_tests(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names.issuperset(INSIDE)
    assert not [name for name in names if name.startswith("tests")]


@one_build
def test_all_code_and_data_are_inside(built: Built) -> None:
    inside = contents(built.wheel)
    files = [ROOT / folder for folder in MAPPED.values()]
    files = [file for folder in files for file in folder.rglob("*.py")]
    for pattern in DATA:
        found = list(ROOT.glob(pattern))
        assert found, pattern
        files += found
    homes = {folder: name for name, folder in MAPPED.items()}
    for file in files:
        folder, *rest = file.relative_to(ROOT).parts
        name = "/".join((homes[folder], *rest))
        assert inside.get(name) == hashlib.sha256(file.read_bytes()).hexdigest(), name


@one_build
@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_licences_are_inside(built: Built, name: str) -> None:
    expected = hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
    (found,) = [
        digest for file, digest in contents(built.wheel).items() if file.endswith(f"/{name}")
    ]
    assert found == expected
    with tarfile.open(built.sdist) as archive:
        assert any(member.count("/") == 1 for member in archive.getnames() if name in member)


@one_build
def test_an_index_would_take_them(built: Built) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", built.sdist, built.wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


@one_build
def test_the_size_is_what_the_page_says(built: Built) -> None:
    page = (ROOT / "docs" / "first-line.md").read_text("utf-8")
    sizes = {round(file.stat().st_size / 1e6) for file in (built.sdist, built.wheel)}
    assert len(sizes) == 1
    assert f"The wheel has {sizes.pop()} MB" in page
