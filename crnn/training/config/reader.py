"""The reader that a run trains."""

import dataclasses
from pathlib import Path
from typing import Annotated

from crnn.training.config.option import AT_LEAST_1, COUNT, FREE, Topic
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reader(Topic):
    """The network, its alphabet, the size of its lines, and where its weights start."""

    arch: Annotated[str, "Architecture: crnn-train --list shows them.  [default: lite]"]
    alphabet: Alphabet
    height: Annotated[int | None, "Height in pixels of the reader's lines.", AT_LEAST_1] = None
    width: Annotated[int | None, "Stretch every line to this width.", AT_LEAST_1] = None
    keep_ratio: Annotated[bool, "Keep the aspect ratio instead."] = False
    init: Annotated[
        Path | None, "Start from these weights only; classes are matched by character.", FREE
    ] = None
    init_alphabet: Annotated[
        str | None, "Alphabet of --init where it holds none: a dictionary's file, or a name.", FREE
    ] = None
    fit_new: Annotated[
        int,
        "Before training, fit only the classes that --init lacks, to N of the training lines; "
        "with --max-steps 0 nothing else is trained.",
        COUNT,
    ] = 0
    freeze_backbone: Annotated[
        int, "Number of epochs, at the start, that train the classifier alone.", COUNT
    ] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width is not None and self.keep_ratio:
            raise CrnnError("--width fixes the width and --keep-ratio keeps the ratio: give one")

    def card(self) -> ModelCard:
        """The card of the reader to train."""
        from crnn.model import default_card  # noqa: PLC0415 (torch: not for --help)

        return default_card(self.arch, self.alphabet, **self.size())

    def size(self) -> dict[str, int | None]:
        """The fields of a card that the options for the size of lines change."""
        changes: dict[str, int | None] = {}
        if self.height is not None:
            changes["height"] = self.height
        if self.keep_ratio:
            changes["width"] = None
        elif self.width is not None:
            changes["width"] = self.width
        return changes
