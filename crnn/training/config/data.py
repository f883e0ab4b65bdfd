"""The lines that a run trains and validates on."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from crnn.training.config.option import AT_LEAST_1, COUNT, FREE, SHARE, Topic
from crnn_runtime.errors import CrnnError

BUNDLED = {"fonts": "fonts", "words": "words"}
"""`Data.synth_options` of a run in a bundle: its own folders."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data(Topic):
    """The sources of the lines.

    ``synth_options`` are keyword arguments of `Synthesizer` such as fonts; ``mix`` pairs a
    data set (or ``synth:PRESET``) with its share.
    """

    dataset_root: Annotated[Path | None, "Folder with train.txt or .tsv, dev.*, images/."] = None
    image_root: Annotated[
        Path | None, "Folder of the data set's pictures, if they are not beside its files.", FREE
    ] = None
    synth: Annotated[str | None, "Preset of synthetic lines, such as digits or latin."] = None
    synth_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    synth_lines: Annotated[int, "Number of synthetic lines in an epoch.", AT_LEAST_1] = 20_000
    dev_lines: Annotated[int, "Fresh synthetic lines to validate on.", AT_LEAST_1, FREE] = 1000
    mix: Annotated[
        tuple[tuple[str, float], ...],
        "Draw a share of every epoch from the folder DATA, or from synth:PRESET.",
    ] = ()
    validate_on: Annotated[
        tuple[str, ...],
        "Validate also on the dev set of the folder DATA, or on lines of synth:PRESET.",
        FREE,
    ] = ()
    unlabelled: Annotated[
        Path | None, "Folder of pictures of lines that --teacher reads once, for labels."
    ] = None
    unlabelled_above: Annotated[
        float, "Least confidence with which a reading of --teacher becomes a label.", SHARE
    ] = 0.9
    augment: Annotated[float, "Share of real training pictures changed at random.", SHARE] = 0.0
    skip_bad: Annotated[bool, "Leave out unusable lines and list them in --directory."] = False
    overfit: Annotated[int, "Self-test: learn N lines by heart.", COUNT] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset_root is None and self.synth is None and self.unlabelled is None:
            raise CrnnError("nothing to train on: give --dataset-root, --synth or --unlabelled")
        if self.overfit and self.mix:
            raise CrnnError("--overfit trains on a few lines of one data set: leave out --mix")
        if not 0 <= sum(share for _, share in self.mix) < 1:
            raise CrnnError("the shares of --mix must stay below 1 in all")

    def synth_sources(self) -> dict[str, Any]:
        """The part of `synth_options` that holds for every preset of the run."""
        kept = ("fonts", "split", "corpus", "words", "pictures")
        return {name: self.synth_options[name] for name in kept if name in self.synth_options}
