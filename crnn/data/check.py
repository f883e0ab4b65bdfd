"""The pre-flight: everything wrong with a data set, named before the first step."""

import dataclasses
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn.data.annotations import (
    KINDS,
    Annotations,
    Defect,
    read_annotations,
    read_labels,
    swallowed_code,
)
from crnn.data.database import Database, is_database
from crnn.data.missing import MANY, explain_missing
from crnn.data.sizes import cache_file, measure
from crnn.scripts import is_right_to_left
from crnn_runtime.errors import CrnnError, ImageError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.load import MAX_PIXELS
from crnn_runtime.picture.preprocess import scaled_width

Steps = Callable[[int], int]
"""Width in pixels of a scaled line → time steps that belong to it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSet:
    """The usable lines of one annotation file and what is wrong with the others.

    Attributes:
        annotations: the usable lines.
        paths: where each image is.
        widths: int32, width in pixels of each line once scaled to the reader's
            height; empty when images were not looked at.
        defects: of the lines left out, by line number.
        database: where the images are, if they are no files; `paths` are its keys.
        hint: one line about many images that are missing, empty if there are few.
    """

    annotations: Annotations
    paths: list[str]
    widths: NDArray[np.int32]
    defects: list[Defect]
    database: Database | None = None
    hint: str = ""

    def __len__(self) -> int:
        return len(self.annotations)

    @property
    def named(self) -> list[Defect]:
        """The defects to be named one by one: the hint stands for what it tells of."""
        return [each for each in self.defects if not self.hint or each.kind != "missing-image"]

    def shared_with(self, other: "DataSet") -> int:
        """Counts the pictures of this set that are in the other one, too."""
        known = set(other.paths)
        return sum(path in known for path in self.paths)

    def picture(self, index: int) -> Path | bytes:
        """The image of one line, for `load_image`.

        Raises:
            ImageError: it is gone.
        """
        path = self.paths[index]
        return Path(path) if self.database is None else self.database.picture(path)

    def demand_good(self, *, skip_bad: bool) -> None:
        """Stop unless every line is usable, or the bad ones may be left out.

        Raises:
            CrnnError: a line has a defect, or no line is usable.
        """
        file, total = self.annotations.file, len(self) + len(self.defects)
        if self.hint and not skip_bad:
            raise CrnnError(f"{file}: {self.hint}; --skip-bad leaves their lines out")
        if self.defects and not skip_bad:
            more = f" (and {len(self.defects) - 1} more)" if len(self.defects) > 1 else ""
            raise CrnnError(
                f"{self.defects[0]}{more}: {len(self.defects)} of {total} lines are unusable; "
                "mend them, or leave them out with --skip-bad; --check lists all"
            )
        if not len(self):
            raise CrnnError(f"{file} has no usable line{self.hint and f': {self.hint}'}")


def check(
    file: Path,
    card: ModelCard,
    steps: Steps,
    *,
    root: Path | None = None,
    images: bool = True,
    cached: bool = True,
    workers: int | None = None,
) -> DataSet:
    """Read an annotation file and check every line of it.

    Args:
        file: the annotation file, or the folder of an LMDB database.
        card: alphabet, height and width limits of the reader.
        steps: time steps of a line by its width in pixels.
        root: folder of the images; None is the file's own.
        images: look at the images too.
        cached: remember image sizes between runs, see `cache_file`.
        workers: processes that measure images; None takes every processor.

    Raises:
        CrnnError: the file cannot be read.
    """
    database = Database(file) if is_database(file) else None
    if database is None:
        annotations = read_annotations(file, card.alphabet)
    else:
        annotations = read_labels(database, card.alphabet)
    root = root or file.parent
    defects = list(annotations.defects)
    if not images:
        defects.sort()
        return DataSet(
            annotations=annotations, paths=[], widths=np.zeros(0, np.int32), defects=defects
        )
    if database is None:
        cache = cache_file(file, root) if cached else None
        table, failures = measure(annotations.images, root, cache=cache, workers=workers)
        paths = _paths(annotations.images, table, root)
    else:
        table, failures = database.measure(annotations.images)
        database.close()
        paths = annotations.images
    missing = [index for index in sorted(failures) if failures[index][0] == "missing-image"]
    hint = ""
    if len(missing) >= MANY and database is None:
        gone = [annotations.images[index] for index in missing]
        hint = explain_missing(gone, len(annotations), root)
    if annotations.is_coded:
        for index, (kind, detail) in failures.items():
            if kind == "missing-image":
                failures[index] = kind, detail + swallowed_code(annotations.images[index])
    widths, too_big = _widths(table, card)
    too_long = _too_long(annotations, widths, steps)
    for index, (kind, detail) in (failures | too_big | too_long).items():
        defects.append(Defect(str(file), int(annotations.numbers[index]), kind, detail))
    defects.sort()
    good = np.ones(len(annotations), bool)
    good[[*failures, *too_big, *too_long]] = False
    return DataSet(
        annotations=annotations.select(good),
        paths=[path for path, kept in zip(paths, good, strict=True) if kept],
        widths=widths[good],
        defects=defects,
        database=database,
        hint=hint,
    )


def _widths(
    table: NDArray[np.int32], card: ModelCard
) -> tuple[NDArray[np.int32], dict[int, tuple[str, str]]]:
    """Scaled width of each image (0 if none), and those that are too large."""
    sizes, inverse = np.unique(table[:, :2], axis=0, return_inverse=True)
    scaled = np.zeros(len(sizes), np.int32)
    bad: dict[int, tuple[str, str]] = {}
    for row, (height, width) in enumerate(sizes.tolist()):
        if not height:
            continue
        if height * width > MAX_PIXELS:
            detail = f"image has {width} × {height} pixels: cut out the line first"
            bad[row] = "too-large", detail
            continue
        try:
            scaled[row] = scaled_width(card, height, width)
        except ImageError as error:
            bad[row] = "too-wide", str(error)
    inverse = inverse.reshape(-1)
    too_big = {
        int(index): bad[int(inverse[index])]
        for index in np.flatnonzero(np.isin(inverse, list(bad)))
    }
    return scaled[inverse], too_big


def _too_long(
    annotations: Annotations, widths: NDArray[np.int32], steps: Steps
) -> dict[int, tuple[str, str]]:
    """Lines that CTC cannot align: T < characters + adjacent repeats."""
    distinct, inverse = np.unique(widths, return_inverse=True)
    available = np.array([steps(max(1, width)) for width in distinct.tolist()], np.int64)
    needed = annotations.steps_needed()
    given = available[inverse.reshape(-1)] if len(widths) else needed
    return {
        int(index): (
            "too-long",
            f"label of {len(annotations.label(index))} characters needs {needed[index]} time "
            f"steps, the image {annotations.images[index]} gives {given[index]} "
            f"(width {widths[index]})",
        )
        for index in np.flatnonzero((needed > given) & (widths > 0)).tolist()
    }


def _paths(images: list[str], table: NDArray[np.int32], root: Path) -> list[str]:
    folders = (str(root / "images"), str(root))
    return [
        os.path.join(folders[where], image)  # noqa: PTH118 (a million times: Path is slow)
        for image, where in zip(images, table[:, 2].tolist(), strict=True)
    ]


def describe(data: DataSet, card: ModelCard) -> list[str]:
    """Describe a data set in lines of text: counts, lengths, widths, characters, defects."""
    annotations = data.annotations
    lengths = np.diff(annotations.offsets)
    total = len(data) + len(data.defects)
    lines = [f"{annotations.file}: {len(data)} of {total} lines are usable"]
    if data.hint:
        lines.append(f"  {data.hint}")
    if annotations.renormalized:
        lines.append(f"  {annotations.renormalized} labels were brought to composed form (NFC)")
    if count := right_to_left(data, card):
        lines.append(f"  {count} {VISUAL_ORDER}")
    if len(data):
        lines.append(f"  characters a line: {_histogram(lengths)}")
    if len(data.widths):
        lines.append(f"  width in pixels at height {card.height}: {_histogram(data.widths)}")
    counts = np.bincount(annotations.codes, minlength=card.num_classes)[1:]
    lines.append(
        f"  {int((counts > 0).sum())} of {len(counts)} characters occur; "
        f"rarest and most frequent: {_extremes(counts, card)}"
    )
    for kind, count in Counter(defect.kind for defect in data.defects).items():
        lines.append(f"  {count} × {KINDS[kind]}")
    for word, numbers in sorted(annotations.unknown.items(), key=lambda item: -len(item[1])):
        shown = ", ".join(map(str, dict.fromkeys(numbers[:10])))
        more = ", …" if len(numbers) > 10 else ""
        lines.append(f"  unknown {word!r} × {len(numbers)}, in lines {shown}{more}")
    return lines


VISUAL_ORDER = (
    "labels hold letters that run from right to left: a reader reads from left to right, so its "
    "labels must be in visual order (docs/training.md)"
)


def right_to_left(data: DataSet, card: ModelCard) -> int:
    """Counts the labels that hold letters of Hebrew, Arabic and the like."""
    entries = enumerate(card.alphabet.characters, start=1)
    codes = [code for code, entry in entries if is_right_to_left(entry)]
    places = np.flatnonzero(np.isin(data.annotations.codes, codes))
    return len(np.unique(np.searchsorted(data.annotations.offsets, places, "right")))


def _histogram(values: NDArray[np.integer]) -> str:
    """``12–31: 40, 32–…``: eight equal bins, empty ones left out."""
    low, high = int(values.min()), int(values.max())
    edges = np.unique(np.linspace(low, high + 1, 9).astype(np.int64))
    counts, edges = np.histogram(values, edges)
    return ", ".join(
        f"{start}–{end - 1}: {count}" if end - 1 > start else f"{start}: {count}"
        for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True)
        if count
    )


def _extremes(counts: NDArray[np.integer], card: ModelCard) -> str:
    present = [index for index in np.argsort(counts, kind="stable").tolist() if counts[index]]
    chosen = present if len(present) <= 10 else [*present[:5], *present[-5:]]
    return ", ".join(f"{card.alphabet.characters[index]!r} {counts[index]}" for index in chosen)
