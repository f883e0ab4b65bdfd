"""crnn-export as a user runs it."""

import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from refusals import assert_line, assert_usage_error
from seed_parity import ARCHS, WIDTHS, seed_input, seed_log_probs
from tiny_reader import write_tiny_reader

from crnn import build_model
from crnn.checkpoints import save_checkpoint
from crnn.model import default_card
from crnn_export.cli.export import final_path, main
from crnn_export.cli.source import Source
from crnn_runtime import Alphabet
from crnn_runtime.backends import open_backend
from crnn_runtime.model.engine_file import read_engine

DIGITS = "0123456789"
RTX = ("--to", "trt", "--flavour", "rtx")


def export(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained checkpoint of this project, card inside."""
    torch.manual_seed(0)
    alphabet = Alphabet(DIGITS)
    path = tmp_path_factory.mktemp("checkpoint") / "lite.pth"
    save_checkpoint(path, build_model("lite", 11), default_card("lite", alphabet))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "arch", [pytest.param(arch, marks=pytest.mark.xdist_group(arch)) for arch in ARCHS]
)
def test_the_originals_checkpoints_keep_their_log_probabilities(
    arch: str, exported: Callable[[str], Path]
) -> None:
    with open_backend(exported(arch)) as backend:
        assert backend.card.arch == arch
        for width in WIDTHS:
            found = backend.infer(seed_input(arch, width))["log_probs"]
            np.testing.assert_allclose(found, seed_log_probs(arch, width), atol=1e-4, rtol=0)


def test_our_checkpoint_needs_no_options_and_real_lines_are_compared(
    checkpoint: Path, tmp_path: Path
) -> None:
    generator = np.random.default_rng(zlib.crc32(b"lines"))
    for i in range(3):
        noise = generator.integers(0, 256, (40, 100 + 150 * i), np.uint8)
        tmp_path.joinpath(f"{i}.png").write_bytes(cv2.imencode(".png", noise)[1].tobytes())
    tmp_path.joinpath("bad.png").write_bytes(b"")
    result = export("--ckpt", checkpoint, "--data", tmp_path)
    assert result.exit_code == 0, result.output
    assert "0 of 3 lines read differently" in result.output
    assert "bad.png" in result.stderr
    with open_backend(checkpoint.with_suffix(".onnx")) as backend:
        card = backend.card
    assert card.head == "greedy"
    assert card.alphabet == Alphabet(DIGITS)
    assert len(card.hashes["checkpoint"]) == 64
    assert card.versions["torch"] == torch.__version__.split("+")[0]


def test_a_checkpoint_needs_no_option_to_be_known_as_one(checkpoint: Path, tmp_path: Path) -> None:
    best = tmp_path / "best.pth"
    best.write_bytes(checkpoint.read_bytes())
    assert export(best, "--head", "topk").exit_code == 0
    with open_backend(tmp_path / "best.onnx") as backend:
        assert (backend.card.arch, backend.card.head) == ("lite", "topk")
    assert export(best, "--to", "triton", tmp_path / "models").exit_code == 0
    assert open_backend(tmp_path / "models" / "best" / "1" / "reader.onnx").card.arch == "lite"


def test_nothing_is_written_over_the_weights(checkpoint: Path, tmp_path: Path) -> None:
    """An ONNX file as the checkpoint, without a name for what is made of it."""
    source = tmp_path / "x.onnx"
    assert export(checkpoint, "--out", source).exit_code == 0
    before = source.read_bytes()
    result = export("--ckpt", source)
    assert_usage_error(result, "--out")
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("source", "to", "precision", "expected"),
    [
        ("x.pth", "onnx", "fp32", "x.onnx"),
        ("a.b.pth.tar", "onnx", "fp32", "a.b.onnx"),
        ("x", "onnx", "fp32", "x.onnx"),
        ("x.tar", "onnx", "fp32", "x.onnx"),
        ("x.pth", "trt", "fp32", "x.trt"),
        ("x.onnx", "trt", "fp16", "x.fp16.trt"),
        ("x.onnx", "onnx", "int8", "x.int8.onnx"),
    ],
)
def test_files_are_named_after_their_source(
    source: str, to: str, precision: str, expected: str
) -> None:
    found = Source("reader", Path("elsewhere"), Path("folder") / source)
    assert final_path(found, None, to, precision) == Path("folder") / expected
    assert final_path(found, f"given.{to}", to, precision) == Path(f"given.{to}")


def test_from_checkpoint_to_engine_in_one_command(checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    out = tmp_path / "reader.trt"
    result = export(
        "--ckpt", checkpoint, "--to", "trt", "--flavour", "rtx", "--precision", "fp16",
        "--batch", "1:2:4", "--batch", "8", "--profile", "32:64:128", "--profile", "1x128:256:512",
        "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "reader.fp16.onnx", "reader.onnx", "reader.trt", "reader.trt.json"
    ]  # fmt: skip
    assert "precision fp16, read back from" in result.output
    card, record = read_engine(out)
    assert card.precision == record.precision == "fp16"
    assert [str(profile) for profile in record.profiles] == [
        "batch 1:2:4, width 32:64:128", "batch 8:8:8, width 32:64:128",
        "batch 1:1:1, width 128:256:512",
    ]  # fmt: skip
    assert card.max_width == 512


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "MODEL"),
        (("{onnx}", "--ckpt", "{ckpt}"), "MODEL"),
        (("{onnx}",), "--precision"),
        (("gone.onnx", "--to", "trt"), "gone.onnx"),
        (("{onnx}", *RTX, "--data", "gone.tsv"), "gone.tsv"),
        (("{onnx}", "--to", "triton", "models", "--data", "gone.tsv"), "gone.tsv"),
        (("{onnx}", "--flavour", "rtx"), "--flavour"),
        (("{onnx}", "--to", "triton", "models", "--out", "x.onnx"), "--out"),
        (("{onnx}", "--head", "topk", "--precision", "fp16"), "--head"),
        (("{ckpt}", "--card", "card.json"), "--card"),
        (("{onnx}", "--to", "trt", "--flavour", "cuda"), "'cuda'"),
        (("{ckpt}", "--ckpt", "{ckpt}", "--precision", "fp12"), "'fp12'"),
        (("--ckpt", "{ckpt}", "--out", "x.foo"), "x.foo"),
        (("--ckpt", "gone.pth"), "gone.pth"),
        (("--ckpt", "{ckpt}", "--arch", "resnet_cifar"), "resnet_cifar"),
        (("--ckpt", "{ckpt}", "--arch", "resnet"), "resnet"),
        (("--ckpt", "{ckpt}", "--alphabet", "abc"), "alphabet"),
        (("--ckpt", "{ckpt}", "--width", "280", "--keep-ratio"), "--keep-ratio"),
        (("{onnx}", "--to", "trt", "--width", "100"), "--width"),
        (("{onnx}", "--precision", "fp16", "--out", "{onnx}"), "tiny.onnx"),
        (("{onnx}", "--precision", "fp16", "--max-cer-loss", "nan"), "--max-cer-loss"),
        (("{onnx}", "--precision", "fp16", "--max-cer-loss", "-2"), "--max-cer-loss"),
        (("{onnx}", "--to", "trt", "--profile", "1:2:3", "--profile-from", "."), "--profile-from"),
        (("--ckpt", "{ckpt}", "--data", "gone/*.png"), "gone/*.png"),
        (("--ckpt", "{ckpt}", "--precision", "int8"), "--data"),
        (("{onnx}", *RTX, "--opt-level", "6"), "--opt-level"),
        (("{onnx}", *RTX, "--target", "sm_90"), "'sm_90'"),
        (("{ckpt}", *RTX, "--target", "sm_75"), "--precision fp16"),
        (("{onnx}", *RTX, "--timing-cache", "x.cache"), "cache"),
        (("{onnx}", *RTX, "--batch", "8:4:2"), "8:4:2"),
        (("{onnx}", *RTX, "--profile", "32:64"), "'32:64'"),
        (("{onnx}", *RTX, "--profile", "32:320:4096"), "4096"),
        (("{onnx}", *RTX, "--profile", "8x64", "--profile", "8x64"), "twice"),
        (("{onnx}", *RTX, "--profile", "8x64", "--batch", "4"), "4:4:4"),
        (("{onnx}", *RTX, "--profile-from", "gone"), "gone"),
        (("--ckpt", "{ckpt}", *RTX, "--profile", "1:2:9999"), "9999"),
        (("--ckpt", "{ckpt}", "--out", "gone/x.onnx"), "gone/x.onnx"),
        (("--ckpt", "{text}"), "text.pth"),
    ],
)
def test_mistakes_are_one_line_and_exit_with_2(
    arguments: tuple[str, ...], message: str, checkpoint: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.pth"
    text.write_text("I am not a checkpoint")
    onnx_file = write_tiny_reader(tmp_path / "tiny.onnx")
    result = export(*(a.format(ckpt=checkpoint, text=text, onnx=onnx_file) for a in arguments))
    assert result.exit_code == 2
    assert_line(result.stderr.splitlines()[-1], message)
    assert "Traceback" not in result.stderr
    assert "Building" not in result.output
    assert "Exporting" not in result.output or message == "gone/*.png"


def test_a_checkpoint_without_an_alphabet_says_what_to_give(
    seed_checkpoint: Callable[[str], Path],
) -> None:
    result = export("--ckpt", seed_checkpoint("shufflenetv2_cifar"))
    assert result.exit_code == 2
    assert "--alphabet" in result.stderr


def test_a_reader_that_ships_is_converted_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["digits", "--precision", "fp16"])
    assert result.exit_code == 0, result.output
    assert open_backend("digits.fp16.onnx").card.precision == "fp16"
