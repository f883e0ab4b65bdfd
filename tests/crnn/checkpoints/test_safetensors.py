"""Weights in .safetensors: our names and Transformers', and one line for what is broken."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from used_model import used_model

from crnn.checkpoints import load_checkpoint, load_model
from crnn.checkpoints.ppocr_names import from_transformers
from crnn.model import CRNN
from crnn_runtime import Alphabet, CrnnError

DIGITS = Alphabet("0123456789")
FAST = "ppocrv6_tiny"
KINDS = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}


def write(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """A file as the format's description has it, sorted by name as its writers do."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name in sorted(tensors):
        content = tensors[name].contiguous().flatten().view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": KINDS[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def theirs(model: CRNN) -> dict[str, Tensor]:
    """PP-OCRv6 tiny as Transformers names it: three blocks, then one, one and four."""
    stages = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2), (3, 3)]
    renamed = {}
    for name, tensor in model.state_dict().items():
        new = re.sub(r"\.conv\.(\w+)$", r".convolution.\1", name)
        new = re.sub(r"\.norm\.(\w+)$", r".normalization.\1", new)
        if match := re.match(r"backbone\.layers\.(\d+)\.", new):
            index, rest = int(match[1]), new[match.end() :]
            if index < 3:
                new = f"model.backbone.encoder.convolution.conv{1 + index // 2}.{rest}"
            else:
                stage, block = stages[index - 3]
                rest = rest.replace("excite.reduce", "token_squeeze_excitation.convolutions.0")
                rest = rest.replace("excite.expand", "token_squeeze_excitation.convolutions.2")
                rest = re.sub(r"^depthwise\.", "token_conv.", rest)
                rest = re.sub(r"^expand\.", "channel_conv1.", rest)
                rest = re.sub(r"^project\.", "channel_conv2.", rest)
                new = f"model.backbone.encoder.blocks.{stage}.blocks.{block}.{rest}"
        new = re.sub(r"^backbone\.neck\.0\.convolution", "head.conv1", new)
        new = re.sub(r"^backbone\.neck\.0\.normalization", "head.norm1", new)
        new = re.sub(r"^backbone\.neck\.2\.convolution", "head.conv2", new)
        new = re.sub(r"^backbone\.neck\.2\.normalization", "head.norm2", new)
        new = new.replace("backbone.reduce", "head.fc1").replace("classifier", "head.fc2")
        is_row = new.startswith("head.conv")
        renamed[new] = tensor.squeeze(2) if is_row else tensor
    return renamed


def refusal(path: Path, alphabet: Alphabet = DIGITS) -> str:
    with pytest.raises(CrnnError) as caught:
        load_model(path, alphabet=alphabet)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@torch.no_grad()
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_our_names(kind: torch.dtype, tmp_path: Path) -> None:
    model = used_model(FAST)
    tensors = {
        name: tensor.to(kind) if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    path = write(tmp_path / "x.safetensors", tensors)
    loaded, card = load_model(path, alphabet=DIGITS)
    assert card.arch == FAST
    x = torch.randn(1, 3, 48, 100)
    atol = 1e-5 if kind == torch.float32 else 0.2
    torch.testing.assert_close(loaded(x), model(x), atol=atol, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("transposed", [False, True])
def test_names_of_transformers(transposed: bool, tmp_path: Path) -> None:
    model = used_model(FAST)
    tensors = theirs(model)
    if transposed:
        tensors = {n: t.T.contiguous() if t.dim() == 2 else t for n, t in tensors.items()}
    loaded, card = load_model(write(tmp_path / "x.safetensors", tensors), alphabet=DIGITS)
    assert (card.arch, card.color, card.height) == (FAST, "bgr", 48)
    x = torch.randn(1, 3, 48, 100)
    torch.testing.assert_close(loaded(x), model(x), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(("kernel", "groups"), [(5, 6), (1, 1)])
def test_branches_are_one_convolution(kernel: int, groups: int) -> None:
    torch.manual_seed(0)
    branches: dict[str, nn.Module] = {"identity": nn.BatchNorm2d(6)}
    for index in range(2):
        branches[f"conv_symmetric.{index}"] = nn.Sequential(
            nn.Conv2d(6, 6, kernel, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(6),
        )
    if kernel > 1:
        branches["conv_small_symmetric"] = nn.Sequential(
            nn.Conv2d(6, 6, 1, groups=groups, bias=False), nn.BatchNorm2d(6)
        )
    prefix = "model.backbone.encoder.blocks.0.layers.0.depthwise_convolution"
    tensors = {}
    for name, branch in branches.items():
        branch.train()
        branch(torch.randn(8, 6, 9, 9) * 3 + 1)
        for key, tensor in branch.eval().state_dict().items():
            new = re.sub(r"^0\.", "convolution.", re.sub(r"^1\.", "normalization.", key))
            tensors[f"{prefix}.{name}.{new}"] = tensor
    joined = from_transformers("pplcnetv3", tensors)
    ours = "backbone.layers.1.depthwise.convolve.conv"
    x = torch.randn(2, 6, 9, 9)
    expected = sum(branch(x) for branch in branches.values())
    weight, bias = joined[f"{ours}.weight"], joined[f"{ours}.bias"]
    found = torch.conv2d(x, weight, bias, padding=kernel // 2, groups=groups)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(share: float, tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", used_model(FAST).state_dict())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refusal(path)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{",
        b'{"a": 1}',
        b'{"a": {"dtype": "F9", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
        b"{}",
    ],
)
def test_a_damaged_header_is_refused(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    refusal(path)
    refusal(tmp_path / "none.safetensors")


def test_tensors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    tensors = theirs(used_model(FAST))
    del tensors["head.fc1.bias"]
    refusal(write(tmp_path / "a.safetensors", tensors))
    tensors["head.fc1.bias"] = torch.zeros(81)
    refusal(write(tmp_path / "b.safetensors", tensors))
    path = write(tmp_path / "c.safetensors", theirs(used_model(FAST)))
    message = refusal(path, Alphabet("abc"))
    assert "11" in message
    assert "3" in message
    assert load_checkpoint(path).card is None
