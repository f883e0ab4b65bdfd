"""Lines that nobody labelled: a teacher reads them once, and what it is sure of is a label.

Pseudo-labels (Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning
Method"). The teacher's readings are kept in the user's cache folder, a line at a time, so
that neither another student nor a run that was stopped waits for them again.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from crnn.checkpoints import load_model
from crnn.data.loader import Batch, reading_batches
from crnn.data.sizes import cache_root
from crnn.data.sources import Line
from crnn.training import distributed
from crnn.training.config import TrainConfig
from crnn_runtime.decode.greedy import GreedyDecoder
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.files import walk_files
from crnn_runtime.picture.load import load_image
from crnn_runtime.picture.preprocess import resize_line

logger = logging.getLogger(__name__)

LABELS = "unlabelled.tsv"
"""In the run's directory: the pictures that are trained on, and what the teacher read there."""


class Guess(NamedTuple):
    """A teacher's reading of a picture.

    Attributes:
        text: empty if it read nothing.
        confidence: see `crnn_runtime.line.Line.confidence`.
    """

    text: str
    confidence: float


def pseudo_labels(config: TrainConfig) -> Path:
    """Have the teacher read the pictures that it has not read yet, and write down its labels.

    Under torchrun every process calls it and reads its share.

    Args:
        config: of a run with ``unlabelled`` and a ``teacher``.

    Returns:
        an annotation file in the run's directory, with paths relative to the folder.

    Raises:
        CrnnError: there is no picture, the teacher cannot be read, or it is sure of no line.
    """
    folder = config.unlabelled
    assert folder is not None, "checked before"
    names = _pictures(folder)
    guesses = _guesses(folder, names, config)
    rows = [
        f"{name}\t{guess.text}\n"
        for name in names
        if (guess := guesses.get(name)) and guess.text
        and guess.confidence >= config.unlabelled_above
    ]  # fmt: skip
    if not rows:
        raise CrnnError(
            f"--unlabelled {folder}: the teacher reads none of {len(names)} pictures with "
            f"confidence {config.unlabelled_above} or more: give another teacher, or a lower "
            "--unlabelled-above"
        )
    file = config.directory / LABELS
    if distributed.is_first():
        text = "".join(rows)
        write_atomically(file, lambda part: part.write_text(text, "utf-8"))
        logger.info(
            "%s: the teacher is sure of %d of %d pictures, see %s",
            folder, len(rows), len(names), file,
        )  # fmt: skip
    distributed.wait()
    return file


def _pictures(folder: Path) -> list[str]:
    """Paths in the folder that can stand in an annotation file."""
    if not folder.is_dir():
        raise CrnnError(f"--unlabelled {folder}: no such folder")
    names = [Path(path).relative_to(folder).as_posix() for path in walk_files(folder)]
    plain = [name for name in names if name.isprintable() and name != "."]
    if len(plain) < len(names) and distributed.is_first():
        logger.warning(
            "%s: %d pictures have names that no row can hold", folder, len(names) - len(plain)
        )
    if not plain:
        raise CrnnError(f"--unlabelled {folder} holds no picture: give a folder of lines")
    return plain


def _guesses(folder: Path, names: Sequence[str], config: TrainConfig) -> Mapping[str, Guess]:
    """Returns the teacher's readings, out of the cache where it has read the picture before."""
    path = Path(str(config.teacher))
    try:
        key = hashlib.sha256(path.read_bytes())
    except OSError as error:
        raise CrnnError(f"--teacher {path}: {error.strerror}") from error
    key.update(str(folder.resolve()).encode("utf-8", "surrogateescape"))
    stem = f"readings-{key.hexdigest()[:32]}"
    stamps = {name: _stamp(folder / name) for name in names}
    known = _known(stem, stamps)
    missing = [name for name in names if name not in known]
    distributed.wait()  # all have looked before anybody writes
    if missing:
        journal = cache_root() / f"{stem}.{distributed.rank()}.jsonl"
        try:
            journal.parent.mkdir(parents=True, exist_ok=True)
            with journal.open("a", encoding="utf-8") as file:
                for name, guess in _read(folder, missing, path, config):
                    row = [name, stamps[name], guess.text, round(guess.confidence, 5)]
                    file.write(f"\n{json.dumps(row, ensure_ascii=False)}")
                    file.flush()
        except OSError as error:
            raise CrnnError(f"cannot write {journal}: {error.strerror}") from error
        distributed.wait()
        known = _known(stem, stamps)
    return known


def _known(stem: str, stamps: Mapping[str, str]) -> dict[str, Guess]:
    """Returns the readings of pictures that have not changed since."""
    found = {}
    for journal in sorted(cache_root().glob(f"{stem}.*.jsonl")):
        for row in journal.read_text("utf-8", "replace").splitlines():
            try:
                name, stamp, text, confidence = json.loads(row)
            except (ValueError, TypeError):  # the last row of a run that was killed
                continue
            if stamps.get(name) == stamp:
                found[name] = Guess(text, confidence)
    return found


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:  # reading it says why
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


def _read(
    folder: Path, names: Sequence[str], path: Path, config: TrainConfig
) -> Iterator[tuple[str, Guess]]:
    """This process's share of the pictures, those left out that cannot be read."""
    try:
        teacher, card = load_model(path)
    except ModelError as error:
        raise CrnnError(f"--teacher: {error}") from error
    device = distributed.pick_device(config.gpu)
    teacher = teacher.to(device).eval()
    logger.info("the teacher reads %d pictures of %s, once", len(names), folder)
    decoder = GreedyDecoder(card.alphabet)
    batches = reading_batches(
        _Unlabelled(folder, names, card), card, batch_size=config.batch_size,
        shard=(distributed.rank(), distributed.world_size()), workers=config.workers,
    )  # fmt: skip
    done = 0
    for batch in batches:
        for failure in batch.failures:
            logger.warning("%s", failure)
        guesses = _guessed(teacher, batch, decoder, card.alphabet, device)
        for index, guess in zip(batch.indices.tolist(), guesses, strict=True):
            if index >= 0:  # not the stand-in of a batch that failed as a whole
                yield names[index], guess
        before, done = done, done + len(guesses)
        if done // _EVERY > before // _EVERY:
            logger.info("the teacher has read %d", done)


_EVERY = 2000  # lines between two messages


@torch.inference_mode()
def _guessed(
    teacher: torch.nn.Module,
    batch: Batch,
    decoder: GreedyDecoder,
    alphabet: Alphabet,
    device: torch.device,
) -> list[Guess]:
    best, ids = teacher(batch.images.to(device)).float().max(dim=-1)
    outputs: dict[str, NDArray[Any]] = {
        "ids": ids.cpu().numpy(), "probs": best.exp().cpu().numpy(),
    }  # fmt: skip
    return [
        Guess(" ".join(alphabet.decode(each.codes.tolist()).split()), each.confidence)
        for each in decoder.decode(outputs, batch.steps.numpy())
    ]


class _Unlabelled:
    """Pictures as the teacher takes them."""

    endless = False
    widths: NDArray[np.int32] | None = None

    def __init__(self, folder: Path, names: Sequence[str], card: ModelCard) -> None:
        self.name = str(folder)
        self._folder, self._names, self._card = folder, names, card

    def __len__(self) -> int:
        return len(self._names)

    def where(self, index: int) -> str:
        return str(self._folder / self._names[index])

    def line(self, index: int, rng: np.random.Generator) -> Line:
        del rng
        try:
            image = load_image(Path(self.where(index)), self._card.color)
            return Line(resize_line(image, self._card), [])
        except CrnnError as error:
            raise type(error)(f"{self.where(index)}: {error}") from error
