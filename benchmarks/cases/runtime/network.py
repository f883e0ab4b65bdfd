"""Figures of speed: networks alone, and from JPEG bytes to text against PyTorch."""

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import v2

from crnn.backbones import BACKBONES
from crnn.model import build_model
from crnn_benchmarks.harness.inputs import architecture, draw_line, mixed_widths, peer_model
from crnn_benchmarks.harness.targets import PROCESS, Figure, by_turns, missing, ratio
from crnn_runtime import Recognizer
from crnn_runtime.backends import BACKENDS, Backend, open_backend
from crnn_runtime.backends.onnx_runtime import session_options
from crnn_runtime.decode.greedy import GreedyDecoder
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.load import load_line
from crnn_runtime.picture.preprocess import padded_width, resize_line, to_input, valid_steps

BATCH = 16
_LEAST_GAIN = dict.fromkeys(BACKBONES, 1.5) | {"resnet_cifar": 0.85}
_NETWORK_TURNS, _PATH_TURNS, _SHARE_TURNS = 40, 4, 12
_MIXED = 48  # lines of mixed widths


def lite_against_ppocr(peers: Path | None) -> Iterator[Figure]:
    """One line through ``lite`` and through PP-OCRv4's mobile recognition, one thread."""
    name, target = "lite / PP-OCRv4 mobile, network alone, one line, one thread", "at most 0.200"
    peer = peer_model("PP-OCRv4", peers)
    if peer is None:
        yield missing(name, target, "no PP-OCRv4: pip install --no-deps rapidocr-onnxruntime")
        return
    ways = [_network(architecture("lite"), (1, 32, 320)), _network(peer, (3, 48, 320))]
    seconds = by_turns(ways, _NETWORK_TURNS, PROCESS)
    middle, shown = ratio(seconds)
    ours, theirs = np.median(seconds, axis=0) * 1e3
    shown += f", {ours:.2f} ms / {theirs:.2f} ms"
    yield Figure(name=name, value=shown, target=target, holds=middle <= 0.2)


def _network(file: Path, shape: tuple[int, int, int]) -> Callable[[], object]:
    session = ort.InferenceSession(
        file.read_bytes(), session_options(threads=1), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    line = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    return lambda: session.run(None, {name: line})


def against_pytorch(archs: Sequence[str]) -> Iterator[Figure]:
    """JPEG bytes to text: the runtime, and PyTorch eager behind PIL and torchvision."""
    torch.set_num_threads(1)
    pictures = [draw_line(width=420, height=48, seed=seed) for seed in range(BATCH)]
    for arch in archs:
        with Recognizer(architecture(arch), threads=1, batch_size=BATCH) as recognizer:
            ways: list[Callable[[], object]] = [
                _eager(arch, recognizer.card, pictures),
                partial(recognizer.read, pictures),
            ]
            seconds = by_turns(ways, _PATH_TURNS, PROCESS)
        middle, shown = ratio(seconds)
        rates = BATCH / np.median(seconds, axis=0)
        least = _LEAST_GAIN[arch]
        yield Figure(
            name=f"{arch}, JPEG to text, lines/s over PyTorch's, one thread, batch {BATCH}",
            value=f"{shown}, {rates[1]:.1f} / {rates[0]:.1f} lines/s",
            target=f"at least {least}",
            holds=middle >= least,
        )


def _eager(arch: str, card: ModelCard, pictures: Sequence[bytes]) -> Callable[[], list[str]]:
    """The same network and lines in PyTorch, decoded line by line as the original does."""
    model = build_model(arch, card.num_classes).eval()
    width = card.width or padded_width(card, round(420 * card.height / 48))
    prepare = v2.Compose(
        [
            v2.Resize((card.height, width)),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(card.mean, card.std),
        ]
    )

    @torch.inference_mode()
    def read() -> list[str]:
        mode = "L" if card.color == "gray" else "RGB"
        images = [Image.open(io.BytesIO(data)).convert(mode) for data in pictures]
        best = model(torch.stack([prepare(image) for image in images])).argmax(2).tolist()
        return [_collapse(path, card.alphabet.characters) for path in best]

    return read


def _collapse(path: list[int], characters: Sequence[str]) -> str:
    before = 0
    text = []
    for code in path:
        if code not in (0, before):
            text.append(characters[code - 1])
        before = code
    return "".join(text)


class _Canned(Backend):
    """A model that gives what another gave before, at no cost."""

    def __init__(self, card: ModelCard, outputs: dict[str, NDArray[Any]]) -> None:
        self.card = card
        self._outputs = outputs

    def infer(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """The outputs of as many lines."""
        return {name: output[: len(images)] for name, output in self._outputs.items()}

    def close(self) -> None:
        """Nothing to release."""


def share_of_the_rest() -> Iterator[Figure]:
    """Measures everything around the network: preparing and decoding of ``mobilenetv2_cifar``."""
    arch = "mobilenetv2_cifar"
    pictures = [draw_line(width=420, height=48, seed=seed) for seed in range(BATCH)]
    with open_backend(architecture(arch), threads=1) as backend:
        card = backend.card

        def prepare() -> NDArray[np.float32]:
            lines = [resize_line(load_line(data, card)[0], card) for data in pictures]
            return to_input(lines, card)

        lines = prepare()
        outputs = backend.infer(lines)
        runs_onnx = BACKENDS["onnx"]
        BACKENDS["onnx"] = lambda *_, **__: _Canned(card, outputs)
        try:
            recognizer = Recognizer(architecture(arch), threads=1, batch_size=BATCH)
        finally:
            BACKENDS["onnx"] = runs_onnx
        decoder = GreedyDecoder(card.alphabet)
        steps = np.full(BATCH, valid_steps(card, card.width or lines.shape[3]))
        ways = [
            prepare,
            lambda: recognizer.read(pictures),
            lambda: decoder.decode(outputs, steps),
            lambda: backend.infer(lines),
        ]
        before, rest, after, network = np.median(by_turns(ways, _SHARE_TURNS, PROCESS), axis=0)
    share = rest / (rest + network)
    kind = f"{arch}, batch {BATCH}, JPEGs of 420 × 48 pixels"
    yield Figure(
        name=f"{kind}: all but the network, of the whole time",
        value=f"{share:.1%} of {1e3 * (rest + network):.0f} ms",
        target="at most 10 %",
        holds=bool(share <= 0.1),
    )
    for name, seconds in (("preprocessing", before), ("decoding", max(after, rest - before))):
        yield Figure(
            name=f"{kind}: {name} of a line",
            value=f"{1e3 * seconds / BATCH:.3f} ms",
            target="under 0.25 ms",
            holds=bool(seconds / BATCH < 0.25e-3),
        )


def mixed_width_rate() -> Iterator[Figure]:
    """Widths 32 to 2,000: buckets against padding a batch to its longest line."""
    file = architecture("lite")
    pictures = [draw_line(width, seed=n) for n, width in enumerate(mixed_widths(_MIXED))]
    with (
        Recognizer(file, threads=1, batch_size=BATCH) as recognizer,
        open_backend(file, threads=1) as backend,
    ):
        card = recognizer.card

        def padded() -> None:
            for start in range(0, len(pictures), BATCH):
                part = pictures[start : start + BATCH]
                backend.infer(
                    to_input([resize_line(load_line(data, card)[0], card) for data in part], card)
                )

        seconds = by_turns([padded, lambda: recognizer.read(pictures)], _PATH_TURNS, PROCESS)
    middle, shown = ratio(seconds)
    yield Figure(
        name=f"lite, {_MIXED} lines 32 to 2,000 wide: rate over batches of {BATCH} padded to "
        "their longest",
        value=shown,
        target="at least 2",
        holds=middle >= 2,
    )
