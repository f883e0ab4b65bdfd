"""Real lines for the checks: with labels and without, and what is left out."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from barcode import ALPHABET, barcode_card, draw_barcode
from click.testing import CliRunner
from refusals import refused

from crnn.recipes import load_recipe
from crnn.synth import Synthesizer
from crnn_export.cli.export import main
from crnn_export.lines import MAX_LINES, load_lines
from crnn_runtime.model.card import METADATA_KEY

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits.pth"
TEXTS = ["0123456789", "42", "7", "31415926535"]


def write_pictures(folder: Path, texts: Sequence[str]) -> list[str]:
    names = [f"{number}.png" for number in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        folder.joinpath(name).write_bytes(cv2.imencode(".png", draw_barcode(text))[1].tobytes())
    return names


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["tsv", "txt"])
def test_an_annotation_file_gives_pictures_and_texts(tmp_path: Path, kind: str) -> None:
    (tmp_path / "images").mkdir()
    names = write_pictures(tmp_path / "images", TEXTS)
    rows = [
        f"{name}\t{text}" if kind == "tsv" else " ".join([name, *map(str, ALPHABET.encode(text))])
        for name, text in zip(names, TEXTS, strict=True)
    ]
    file = tmp_path / f"dev.{kind}"
    file.write_text("\n".join(rows))
    lines = load_lines(str(file), barcode_card())
    assert lines.texts == TEXTS
    assert [line.shape for line in lines.pixels] == [
        (32, draw_barcode(text).shape[1], 1) for text in TEXTS
    ]


def test_pictures_have_no_texts(tmp_path: Path) -> None:
    write_pictures(tmp_path, TEXTS)
    assert load_lines(str(tmp_path), barcode_card()).texts is None
    assert len(load_lines(str(tmp_path / "1.png"), barcode_card()).pixels) == 1


def test_what_is_left_out_is_named_and_its_text_goes_with_it(tmp_path: Path) -> None:
    names = write_pictures(tmp_path, TEXTS)
    damaged = tmp_path / names[1]
    damaged.write_bytes(damaged.read_bytes()[:60])  # its header says that all is well
    rows = [f"{name}\t{text}" for name, text in zip(names, TEXTS, strict=True)]
    rows += ["gone.png\t1", f"{names[0]}\tabc"]
    file = tmp_path / "dev.tsv"
    file.write_text("\n".join(rows))
    told: list[str] = []
    lines = load_lines(str(file), barcode_card(), warn=told.append)
    assert lines.texts == [TEXTS[0], TEXTS[2], TEXTS[3]]
    assert len(lines.pixels) == 3
    assert [part for part in ("gone.png", "'abc'", "1.png: image") for t in told if part in t] == [
        "gone.png",
        "'abc'",
        "1.png: image",
    ]


def test_lines_are_taken_from_all_of_a_long_file(tmp_path: Path) -> None:
    (name,) = write_pictures(tmp_path, ["012345678901"])
    texts = [str(number) for number in range(3 * MAX_LINES)]
    file = tmp_path / "dev.tsv"
    file.write_text("\n".join(f"{name}\t{text}" for text in texts))
    found = load_lines(str(file), barcode_card()).texts
    assert found is not None
    assert len(set(found)) == MAX_LINES
    assert (found[0], found[-1]) == (texts[0], texts[-1])


@pytest.mark.parametrize("content", ["", "gone.png\t1"])
def test_a_file_without_a_usable_line_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "dev.tsv"
    file.write_text(content)
    with refused(file):
        load_lines(str(file), barcode_card())


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the shipped reader as digits.onnx, 16 fresh lines and their dev.tsv."""
    folder = tmp_path_factory.mktemp("digits")
    synthesizer = Synthesizer("digits", seed=5_000_011, **load_recipe("digits")["synth_options"])
    rows = []
    for number in range(16):
        sample = synthesizer.line(number)
        bgr = cv2.cvtColor(np.asarray(sample.image), cv2.COLOR_RGB2BGR)
        folder.joinpath(f"{number}.png").write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
        rows.append(f"{number}.png\t{sample.text}")
    folder.joinpath("dev.tsv").write_text("\n".join(rows))
    result = CliRunner().invoke(
        main, ["--ckpt", str(DIGITS), "--out", str(folder / "digits.onnx")], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return folder


def convert(folder: Path, precision: str, out: Path, *more: str) -> tuple[int, str]:
    arguments = [folder / "digits.onnx", "--precision", precision, "--data", folder / "dev.tsv"]
    words = [str(argument) for argument in [*arguments, "--out", out, *more]]
    result = CliRunner().invoke(main, words)
    return result.exit_code, result.output


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_with_labels_a_precision_is_judged_by_its_true_error_rate(
    digits: Path, tmp_path: Path, precision: str
) -> None:
    out = tmp_path / "reduced.onnx"
    code, output = convert(digits, precision, out)
    assert code == 0, output
    assert "on 16 lines" in output
    assert "; CER " in output
    props = {prop.key: prop.value for prop in onnx.load(out).metadata_props}
    measured = json.loads(props[METADATA_KEY])["export"]["precision"]
    assert measured["lines"] == 16
    assert 0 <= measured["cer_fp32"] < 0.1  # the labels belong to the pictures
    assert measured["cer"] - measured["cer_fp32"] <= 0.005


def test_a_precision_that_costs_more_than_allowed_is_refused(digits: Path, tmp_path: Path) -> None:
    # What cannot be: the reduced graph makes fewer mistakes than none.
    code, output = convert(digits, "int8", tmp_path / "x.onnx", "--max-cer-loss", "-1")
    assert code == 2
    assert "int8" in output
    assert not list(tmp_path.glob("*.onnx"))
