"""Lines to read and what is written on them, as files that any reader can open."""

import dataclasses
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crnn_benchmarks.harness.schema import DataSet
from crnn_runtime.errors import CrnnError
from crnn_runtime.picture.files import iter_paths

_STEMS = ("labels", "dev", "test", "val", "train")
LABEL_FILES = (*(f"{stem}.tsv" for stem in _STEMS), *(f"{stem}.txt" for stem in _STEMS))
"""The files that a folder is searched for, in this order."""
SYNTH = "synth:"
RECIPE = "recipe:"
SYNTH_LINES = 1000
SYNTH_SEED = 77_000_001
"""Far from the seeds that training counts up from: evaluated lines were never trained on."""


@dataclasses.dataclass(frozen=True)
class Lines:
    """A data set, loaded.

    Attributes:
        data: its name and size.
        paths: of the pictures.
        texts: what is written on each.
        place: the folder or file that it was given as; None for drawn lines.
    """

    data: DataSet
    paths: list[str]
    texts: list[str]
    place: Path | None = None


@contextmanager
def load_lines(
    spec: str, *, limit: int | None = None, seed: int = 0, suffix: str = ".png"
) -> Iterator[Lines]:
    """A data set by its name on the command line; drawn ones go when the block ends.

    Args:
        spec: a folder with labels (`LABEL_FILES`), a ``.tsv`` or ``.txt`` file of
            ``path<TAB>text``, or ``synth:PRESET[:SPLIT[:COUNT[:SEED]]]`` for fresh synthetic lines,
            ``recipe:NAME[…]`` for such lines as a recipe of ``crnn-train`` draws them.
        limit: most lines; more are sampled at random.
        seed: of that sample.
        suffix: format of drawn lines; ``.png`` loses nothing.

    Raises:
        CrnnError: there is nothing of that name, or no line in it.
    """
    with TemporaryDirectory(prefix="crnn-bench-") as folder:
        if spec.startswith((SYNTH, RECIPE)):
            place, (name, rows) = None, _synthetic(spec, Path(folder), suffix)
        else:
            name, place, rows = _labelled(spec)
        of = len(rows)
        if limit is not None and limit < of:
            rows = random.Random(seed).sample(rows, limit)
        digest = hashlib.sha256()
        for path, text in rows:
            digest.update(path.read_bytes() + b"\0" + text.encode() + b"\0")
        data = DataSet(name=name, lines=len(rows), of=of, sha256=digest.hexdigest())
        paths, texts = [str(path) for path, _ in rows], [text for _, text in rows]
        yield Lines(data, paths, texts, place)


def _labelled(spec: str) -> tuple[str, Path, list[tuple[Path, str]]]:
    """The lines of a file or folder, every picture of which must be there."""
    path = Path(spec)
    if path.is_dir():
        found = [path / name for name in LABEL_FILES if (path / name).is_file()]
        if not found:
            raise CrnnError(f"{spec}: a folder with labels has one of {', '.join(LABEL_FILES)}")
        place, path = path, found[0]
        if (twin := path.with_suffix(".txt")) in found[1:]:
            raise CrnnError(f"{spec}: which one holds the labels, {path.name} or {twin.name}?")
    else:
        place = path.parent if path.stem in _STEMS else path
    if path.suffix.lower() not in (".tsv", ".txt") or not path.is_file():
        raise CrnnError(
            f"{spec}: give a folder with labels, a .tsv or .txt file, or {SYNTH}PRESET for drawn "
            "lines"
        )
    from crnn.data.annotations import holds_text  # noqa: PLC0415

    if not holds_text(path, _text_of(path).encode().split(b"\n")):
        raise CrnnError(f"{path} holds codes: give a file of path, tab and text")
    rows = []
    for number, line in enumerate(_text_of(path).split("\n"), start=1):
        if not line.strip("\r"):
            continue
        picture, tab, text = line.rstrip("\r").partition("\t")
        if not tab:
            raise CrnnError(f"{path}:{number}: no tab between the picture's path and its text")
        file = path.parent / picture
        if not file.is_file():  # where training looks, too
            file = path.parent / "images" / picture
        if not file.is_file():
            raise CrnnError(f"{path}:{number}: no picture {picture}")
        rows.append((file, text))
    if not rows:
        raise CrnnError(f"{path} has no line")
    name = place.resolve().name if place.is_dir() else place.stem
    return name, place, rows


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CrnnError(f"{path} is not UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise CrnnError(f"cannot read {path}: {error.strerror}") from error


def _synthetic(spec: str, folder: Path, suffix: str) -> tuple[str, list[tuple[Path, str]]]:
    """Draw lines and write them."""
    import cv2  # noqa: PLC0415

    from crnn.synth import Synthesizer  # noqa: PLC0415

    kind, (name, split, count, seed) = spec.partition(":")[0], parse_synth(spec)
    preset, options = _of_recipe(name) if spec.startswith(RECIPE) else (name, {})
    synthesizer = Synthesizer(preset, seed=seed, **{**options, "split": split})
    rows = []
    for index in range(count):
        sample = synthesizer.line(index)
        path = folder / f"{index}{suffix}"
        _, data = cv2.imencode(suffix, cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR))
        path.write_bytes(data.tobytes())
        rows.append((path, sample.text))
    return f"{kind}:{name}:{split}:{count}:{seed}", rows


def _of_recipe(name: str) -> tuple[str, dict[str, Any]]:
    """Preset and drawing options of a recipe."""
    from crnn.recipes import load_recipe  # noqa: PLC0415

    settings = load_recipe(name)
    if not (preset := settings.get("synth")):
        raise CrnnError(f"{RECIPE}{name}: that recipe draws no lines, it learns from pictures")
    return str(preset), dict(settings.get("synth_options", {}))


def parse_synth(spec: str) -> tuple[str, str, int, int]:
    """``synth:latin:heldout:500:7`` → preset, split, count, seed; the last three may be missing.

    Raises:
        CrnnError: a number is none, or there are too many parts.
    """
    kind, *parts = spec.split(":")
    defaults = ("", "all", str(SYNTH_LINES), str(SYNTH_SEED))
    preset, split, count, seed = (*parts, *defaults[len(parts) :])[:4]
    if len(parts) > len(defaults) or not (count.isdecimal() and seed.isdecimal() and int(count)):
        raise CrnnError(f"{spec}: write {kind}:NAME[:SPLIT[:COUNT[:SEED]]]")
    return preset, split, int(count), int(seed)


def pictures_of(spec: str) -> tuple[str, list[str]]:
    """The picture files of a folder, without labels.

    Raises:
        CrnnError: there is none.
    """
    path = Path(spec)
    paths = list(iter_paths((spec,))) if path.is_dir() else []
    if not paths or paths == [spec]:
        raise CrnnError(f"{spec}: no folder with pictures")
    return path.resolve().name, paths


def distinct(names: Sequence[str], places: Sequence[Path | None]) -> list[str]:
    """Names, those that others have too with as much of the path before it as tells them apart.

    Args:
        names: short ones.
        places: where each thing lies; None if its name says all. Two things in one place
            are one thing.
    """
    places = [place and place.resolve() for place in places]
    alike: dict[str, set[Path]] = defaultdict(set)
    for name, place in zip(names, places, strict=True):
        if place is not None:
            alike[name].add(place)
    return [
        name if place is None or len(alike[name]) < 2 else _shortest(place, alike[name])
        for name, place in zip(names, places, strict=True)
    ]


def _shortest(place: Path, others: set[Path]) -> str:
    for count in range(2, len(place.parts)):
        ends = [other.parts[-count:] for other in others]
        if ends.count(place.parts[-count:]) == 1:
            return "/".join(place.parts[-count:])
    return str(place)
