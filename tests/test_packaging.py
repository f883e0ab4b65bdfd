"""The layout: what is on disk is what gets installed, under one name only."""

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("folder", sorted(set(MAPPED.values()) - {"crnn"}))
def test_a_folder_is_not_importable_by_its_bare_name(folder: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", f"import {folder}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"import this package as crnn_{folder}" in result.stderr
