"""Everything a training run follows from, in four topics: data, reader, optimisation, running.

An option of ``crnn-train`` is one annotated field of its topic; the command line, the
recipes and the checks of ranges follow from it.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from crnn.training.config.data import Data
from crnn.training.config.optimisation import (
    INIT,
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    Optimisation,
    TeacherLines,
)
from crnn.training.config.option import Option, options_of
from crnn.training.config.reader import Reader
from crnn.training.config.running import Running
from crnn_runtime.errors import CrnnError

__all__ = ["OPTIMIZERS", "PRECISIONS", "SCHEDULES", "TrainConfig", "declared_options"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(Running, Optimisation, Reader, Data):
    """A training run: the fields of its four topics are the options of ``crnn-train``.

    Raises:
        CrnnError: a value is out of its range, or two options contradict each other.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.align_first and self.synth is None:
            raise CrnnError("--align-first learns from synthetic lines alone: give --synth")
        if self.glyph_start and self.synth is None and self.init is None:
            raise CrnnError("--glyph-start from nothing is for synthetic lines: give --synth")
        if self.teacher_on in ("mix", "main") and not self.mix:
            raise CrnnError(f"--teacher-on {self.teacher_on} tells lines of --mix apart: give one")
        if self.unlabelled is not None and self.teacher in (None, INIT):
            raise CrnnError(
                "--unlabelled is read by a teacher: give the file or the name of one with --teacher"
            )

    @property
    def followed_on(self) -> TeacherLines:
        """The lines on which the reader follows the teacher's distribution."""
        return self.teacher_on or ("all" if self.unlabelled is None else "none")

    def fingerprint(self) -> dict[str, Any]:
        """The values that must be equal for a run to continue: all that shapes the loss curve."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, option in declared_options().items():
            if option.is_free:
                del plain[name]
        plain["alphabet"] = self.alphabet.sha256
        plain["teacher_on"] = self.followed_on
        for name in ("dataset_root", "unlabelled"):
            plain[name] = None if plain[name] is None else str(plain[name])
        plain["synth_options"] = dict(self.synth_options)
        plain["mix"] = [list(part) for part in self.mix]
        if self.teacher not in (None, INIT):
            plain["teacher"] = _hash(Path(self.teacher))  # wherever the file lies
        return plain


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CrnnError(f"--teacher {path}: {error.strerror or error}") from error


def declared_options() -> dict[str, Option]:
    """The fields of `TrainConfig` that are options, by name."""
    return options_of(TrainConfig)
