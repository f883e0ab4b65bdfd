"""In which profile and which shapes an engine runs a batch of lines.

Every shape that is new costs: TensorRT computes shapes and memory anew, TensorRT for RTX
compiles kernels, a CUDA graph holds one shape only. So batches are filled up with empty
lines to 1, 2, 4, 8 … lines, to the profile's least or to its largest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crnn_runtime.errors import CrnnError
from crnn_runtime.model.engine_file import Profile


class EngineShapeError(CrnnError):
    """A batch of lines that no profile of the engine serves."""


@dataclass(frozen=True, slots=True)
class Call:
    """One run of an engine.

    Attributes:
        profile: its index.
        first: of the batch's lines that are in it.
        last: behind the last of them.
        rows: lines that are run, the empty ones among them.
        width: in pixels, padding included.
    """

    profile: int
    first: int
    last: int
    rows: int
    width: int


def plan_calls(profiles: Sequence[Profile], lines: int, width: int) -> list[Call]:
    """The runs for a batch of lines of one width.

    Among the profiles that are wide enough, the one that needs the fewest runs is used;
    ties go to the fewest pixels, padding included, then to the one that is tuned for the
    nearest shape. A batch that is too large is split: full runs first, then the rest.

    Raises:
        EngineShapeError: the lines are wider than every profile.
    """
    index = choose_profile(profiles, lines, width)
    profile = profiles[index]
    pixels = max(width, profile.width.min)
    calls, first = [], 0
    for rows in _rows(lines, profile):
        last = min(first + rows, lines)
        calls.append(Call(index, first, last, rows, pixels))
        first = last
    return calls


def choose_profile(profiles: Sequence[Profile], lines: int, width: int) -> int:
    """Index of the profile that serves a batch best, see `plan_calls`.

    Raises:
        EngineShapeError: the lines are wider than every profile.
    """
    fitting = [index for index, profile in enumerate(profiles) if width <= profile.width.max]
    if not fitting:
        widest = max(profile.width.max for profile in profiles)
        raise EngineShapeError(
            f"lines are {width} pixels wide, the engine reads up to {widest} "
            f"({'; '.join(map(str, profiles))}): cut them, or build with a wider --profile"
        )

    def cost(index: int) -> tuple[int, int, float]:
        profile = profiles[index]
        rows = _rows(lines, profile)
        pixels = max(width, profile.width.min)
        distance = abs(math.log(rows[0] / profile.batch.opt))
        distance += abs(math.log(pixels / profile.width.opt))
        return len(rows), sum(rows) * pixels, distance

    return min(fitting, key=cost)


def _rows(lines: int, profile: Profile) -> list[int]:
    """Lines of each run, the empty ones among them."""
    full, rest = divmod(lines, profile.batch.max)
    rows = [profile.batch.max] * full
    if rest:
        rounded = 1 << (rest - 1).bit_length()
        rows.append(max(profile.batch.min, min(rounded, profile.batch.max)))
    return rows
