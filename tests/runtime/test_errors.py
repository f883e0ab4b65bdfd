"""Errors tell to install this project, never a namesake on a package index."""

import json
from importlib import metadata
from pathlib import Path

import pytest

from crnn_runtime.errors import MissingDependencyError, install_command


def install_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, origin: object) -> None:
    """Pretend that pip installed the project from ``origin`` (PEP 610), None: from an index."""
    info = tmp_path / "crnn-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: crnn\nVersion: 0.1.0\nRequires-Dist: numpy>=1.26\n"
        'Requires-Dist: onnxruntime>=1.20; extra == "cpu"\n'
        'Requires-Dist: onnxruntime-gpu[cuda,cudnn]>=1.20; extra == "gpu"\n'
        "Requires-Dist: cuda-bindings>=13; extra == 'gpu'\n"
    )
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin))
    found = metadata.Distribution.at(info)
    monkeypatch.setattr(metadata, "distributions", lambda name: [found])
    monkeypatch.setattr(metadata, "requires", lambda _: found.requires)


def test_the_folder_that_this_was_installed_from_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = (tmp_path / "a b").as_uri()
    (tmp_path / "a b").mkdir()
    install_from(monkeypatch, tmp_path, {"url": url, "dir_info": {}})
    assert install_command("cpu") == f'pip install "{tmp_path}/a b[cpu]"'
    assert str(MissingDependencyError.of_extra("onnxruntime", "cpu")) == (
        f'onnxruntime is not installed: pip install "{tmp_path}/a b[cpu]"'
    )


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, '"onnxruntime-gpu[cuda,cudnn]>=1.20" "cuda-bindings>=13"'),
        (
            {"url": "file:///gone/crnn-0.1.0-py3-none-any.whl", "archive_info": {}},
            '"onnxruntime-gpu[cuda,cudnn]>=1.20" "cuda-bindings>=13"',
        ),
        ({"url": "file:///", "dir_info": {"editable": True}}, '--editable "/[gpu]"'),
        (
            {"url": "https://host/crnn.git", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            '"crnn[gpu] @ git+https://host/crnn.git"',
        ),
        (
            {"url": "https://host/crnn-0.1.0-py3-none-any.whl", "archive_info": {}},
            '"crnn[gpu] @ https://host/crnn-0.1.0-py3-none-any.whl"',
        ),
    ],
)
def test_never_the_bare_name(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    origin: object,
    expected: str,
) -> None:
    install_from(monkeypatch, tmp_path, origin)
    assert install_command("gpu") == f"pip install {expected}"


def test_a_folder_that_was_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "distributions", lambda name: [])
    monkeypatch.setattr(metadata, "requires", missing)
    assert install_command("train") == 'pip install ".[train]"'
