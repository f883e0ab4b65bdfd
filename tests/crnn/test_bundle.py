"""A run packed for another machine."""

import dataclasses
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from refusals import assert_usage_error, refused
from used_model import used_model

from crnn.bundle import _fitting, pack, reduce_font
from crnn.checkpoints import load_model, save_checkpoint
from crnn.model import build_model, default_card
from crnn.recipes import recipe_config
from crnn.synth import Synthesizer
from crnn.synth.fonts.faces import HAN, Face, bitmap, read_faces
from crnn.synth.fonts.files import package_fonts
from crnn.training import train
from crnn.training.config import TrainConfig
from crnn_export.to_onnx import export_onnx
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

FONT = next(path for path in package_fonts() if "mono" in path.stem.lower())


def _config(directory: Path) -> TrainConfig:
    options = {"fonts": str(FONT), "height": [32, 40], "sides": [0.0, 0.2]}
    return recipe_config("digits", directory, synth_options=options, batch_size=4)


def _train(folder: Path, steps: int) -> str:
    # -S -E would hide the libraries, too; the bundle's own code must come first.
    run = subprocess.run(
        ["sh", "train.sh", "--max-steps", str(steps), "--dev-lines", "4", "--batch-size", "4",
         "--gpu-id", "-1", "--threads", "1", "--workers", "0"],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout + run.stderr


@pytest.mark.slow
def test_a_bundle_trains_elsewhere_and_goes_on_after_it_came_back(tmp_path: Path) -> None:
    here = tmp_path / "here"
    size = pack(_config(here), tmp_path / "run.tar.xz")
    assert size == (tmp_path / "run.tar.xz").stat().st_size < 1_000_000
    there = tmp_path / "there"
    with tarfile.open(tmp_path / "run.tar.xz") as tar:
        tar.extractall(there, filter="data")
    assert list((there / "fonts").iterdir())
    _train(there, 2)
    # Back here, with what was trained: the run goes on, and the next bundle carries it on.
    here.mkdir()
    (there / "run" / "last.pth").rename(here / "last.pth")
    small = {"max_steps": 2, "dev_lines": 4, "threads": 1, "workers": 0}
    assert train(dataclasses.replace(_config(here), **small)).steps == 2
    with pytest.raises(CrnnError, match="--lr"):
        pack(dataclasses.replace(_config(here), lr=0.5), tmp_path / "other.tar.xz")
    pack(_config(here), tmp_path / "again.tar.xz")
    with tarfile.open(tmp_path / "again.tar.xz") as tar:
        tar.extractall(tmp_path / "again", filter="data")
    assert "continuing run/last.pth at step 2" in _train(tmp_path / "again", 3)


def test_a_reduced_font_draws_the_same_lines_and_keeps_its_name(tmp_path: Path) -> None:
    alphabet = Alphabet.load("digits")
    face = read_faces(FONT)[0]
    path = tmp_path / "small.ttf"
    path.write_bytes(reduce_font(face, alphabet))
    assert path.stat().st_size < FONT.stat().st_size
    small = read_faces(path)[0]
    assert (small.family, small.kind, small.axes) == (face.family, face.kind, face.axes)
    assert small.covers(alphabet)
    assert not small.covers("é")
    whole, reduced = (Synthesizer("digits", 3, fonts=font) for font in (FONT, path))
    for index in range(5):
        line, other = whole.line(index), reduced.line(index)
        assert line.text == other.text
        np.testing.assert_array_equal(line.image, other.image)


def test_a_bundle_carries_the_weights_that_a_run_begins_with(tmp_path: Path) -> None:
    card = default_card("lite", Alphabet.load("digits"), height=32)
    model = build_model("lite", card.num_classes, card.channels)
    save_checkpoint(tmp_path / "old.pth", model, card)
    weights = tmp_path / "weights" / "last.pth"
    weights.parent.mkdir()
    save_checkpoint(weights, model, card)
    with pytest.raises(CrnnError, match="--init"):
        pack(_config(weights.parent), tmp_path / "run.tar.xz")
    config = dataclasses.replace(_config(tmp_path / "here"), init=tmp_path / "old.pth")
    pack(config, tmp_path / "run.tar.xz")
    there = tmp_path / "there"
    with tarfile.open(tmp_path / "run.tar.xz") as tar:
        tar.extractall(there, filter="data")
    assert (there / "init.pth").read_bytes() == (tmp_path / "old.pth").read_bytes()
    assert tomllib.loads((there / "recipe.toml").read_text())["init"] == "init.pth"
    # Where libraries are missing it is one line; -S hides those of this environment.
    (there / "bin").mkdir()
    python = there / "bin" / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    run = subprocess.run(
        ["sh", "train.sh"], cwd=there, capture_output=True, text=True, check=False,
        env={"PATH": f"{there / 'bin'}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert run.returncode == 2
    assert_usage_error(run, "click, fontTools, numpy, cv2, PIL, rapidfuzz, torch")
    assert run.stderr.endswith("pip install -r requirements.txt\n")


def _foreign(arch: str, alphabet: Alphabet, path: Path) -> Path:
    """The weights of an architecture as others publish them: a graph without a card."""
    card = default_card(arch, alphabet)
    export_onnx(used_model(arch, len(alphabet) + 1), card, path, head="log-probs")
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    return path


def test_a_bundle_needs_no_dictionary_and_no_onnx_for_its_start(tmp_path: Path) -> None:
    """PP-OCR's files hold no alphabet, and a training machine has no ONNX Runtime."""
    alphabet = Alphabet("9876543210 ")
    dictionary = tmp_path / "dict.txt"
    dictionary.write_text("\n".join("9876543210"), "utf-8")  # the space is implied
    rec = _foreign("lite", alphabet, tmp_path / "rec.onnx")
    config = dataclasses.replace(_config(tmp_path / "here"), init=rec, teacher="init")
    with refused(rec, "--init-alphabet"):
        pack(config, tmp_path / "run.tar.xz")
    assert not (tmp_path / "run.tar.xz").exists()
    pack(dataclasses.replace(config, init_alphabet=str(dictionary)), tmp_path / "run.tar.xz")
    there = tmp_path / "there"
    with tarfile.open(tmp_path / "run.tar.xz") as tar:
        tar.extractall(there, filter="data")
    assert not list(there.glob("*.onnx"))
    assert load_model(there / "init.pth")[1].alphabet == alphabet
    recipe = tomllib.loads((there / "recipe.toml").read_text())
    assert (recipe["init"], recipe.get("init_alphabet")) == ("init.pth", None)


def test_a_bundle_carries_the_sentences_that_its_presets_need(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("one sentence\n" * 3, "utf-8")
    options = {"fonts": str(FONT), "corpus": str(tmp_path / "texts")}
    config = recipe_config("latin-from-nothing", tmp_path / "run", synth_options=options)
    for name, expected in (("digits", "words"), ("latin", "texts")):
        changed = dataclasses.replace(config, synth=name)
        pack(changed, tmp_path / "run.tar.xz")
        with tarfile.open(tmp_path / "run.tar.xz") as tar:
            tar.extractall(tmp_path / name, filter="data")
        recipe = tomllib.loads((tmp_path / name / "recipe.toml").read_text())
        assert recipe["synth_options"]["corpus"] == expected
        assert (tmp_path / name / "texts").exists() == (expected == "texts")
    assert (tmp_path / "latin/texts/000.txt").read_text() == "one sentence\n" * 3


def test_a_bundle_keeps_an_alphabet_as_it_is(tmp_path: Path) -> None:
    alphabet = Alphabet([" ", "0", "1", "ch"])  # a first line that is a space means the blank
    config = dataclasses.replace(_config(tmp_path / "here"), alphabet=alphabet)
    pack(config, tmp_path / "run.tar.xz")
    with tarfile.open(tmp_path / "run.tar.xz") as tar:
        tar.extract("alphabet.txt", tmp_path, filter="data")
    assert Alphabet.from_file(tmp_path / "alphabet.txt") == alphabet


def test_where_fonts_do_not_fit_every_kind_keeps_one(monkeypatch: pytest.MonkeyPatch) -> None:
    han = bitmap(np.array([ord(HAN)]))
    sizes = {"A-bold": 30_000, "A": 30_000, "B": 50_000, "C": 20_000, "Kai": 90_000}
    kinds = {"A": "sans", "B": "sans", "C": "sans", "Kai": "kai"}
    faces = [
        Face(name, 0, name.partition("-")[0], "", (), kinds[name.partition("-")[0]], han)
        for name in sizes
    ]
    noise = np.random.default_rng(0).bytes  # which does not compress
    monkeypatch.setattr("crnn.bundle.reduce_font", lambda face, _: noise(sizes[face.path]))

    def kept(room: int) -> set[str]:
        return {name[4:].removesuffix(".ttf") for name in _fitting(faces, set(), room)}

    assert kept(230_000) == {"A-bold", "A", "B", "C", "Kai"}
    assert kept(200_000) == {"A-bold", "B", "C", "Kai"}
    assert kept(150_000) == {"A-bold", "C", "Kai"}
    assert kept(115_000) == {"C", "Kai"}
    with refused():
        kept(100_000)


def test_what_a_bundle_cannot_hold_is_refused(tmp_path: Path) -> None:
    config = _config(tmp_path)
    alphabet = config.alphabet
    real = TrainConfig(arch="lite", alphabet=alphabet, directory=tmp_path, dataset_root=tmp_path)
    with refused("picture"):
        pack(real, tmp_path / "x.tar.xz")
    with refused():
        pack(config, tmp_path / "x.tar.xz", limit=1000)
    with refused("pictures"):
        pack(dataclasses.replace(config, validate_on=("D",)), tmp_path / "x.tar.xz")
    with refused("--resume"):
        pack(dataclasses.replace(config, resume=tmp_path / "x.pth"), tmp_path / "x.tar.xz")
    with refused("x.zip", ".tar.xz"):
        pack(config, tmp_path / "x.zip")
    assert not list(tmp_path.iterdir())
