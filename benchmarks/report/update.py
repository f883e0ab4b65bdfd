"""A few readers of a recorded report measured anew, the others kept as they are."""

import dataclasses
from collections.abc import Sequence

from crnn_benchmarks.harness.schema import Accuracy, DataSet, Machine, Model, Report
from crnn_runtime.errors import CrnnError


def check_update(old: Report, machine: Machine, first: Model, sets: Sequence[DataSet]) -> None:
    """Refuse an update before minutes are spent on it.

    Raises:
        CrnnError: another machine, other lines, or another reader to compare times by.
    """
    if old.machine.id != machine.id:
        raise CrnnError(
            f"--update: recorded on another machine ({old.machine.cpu}, {old.machine.id}), whose "
            "times compare with none of this one: measure all readers anew"
        )
    began = old.accuracy[0].model if old.accuracy else None
    if began is None or (began.name, began.sha256) != (first.name, first.sha256):
        wanted = f"--reader {began.name}" if began else "a report of peers"
        raise CrnnError(f"--update: times are compared by its first reader: give {wanted} first")
    known = {row.data.name: row.data for row in old.accuracy}
    for data in sets:
        if known.get(data.name) != data:
            raise CrnnError(
                f"--update: {data} has changed, recorded is {known.get(data.name, 'no such set')}: "
                "measure all readers anew"
            )


def updated(old: Report, new: Report) -> Report:
    """The old report with the new one's readers.

    The first reader of both keeps its old rows. Processor times of the others are their ratio
    to its new ones, applied to its old ones: the machine may be faster or slower by now.
    """
    first = {row.data: row for row in old.accuracy if row.model == old.accuracy[0].model}
    fresh = {_key(row): _at_pace(row, first[row.data]) for row in new.accuracy}
    fresh |= {_key(row): row for row in first.values()}
    rows = {_key(row): row for row in old.accuracy} | fresh
    sets = [row.data for row in first.values()]
    beside = old.accuracy[0].model.name
    names = ", ".join(dict.fromkeys(row.model.name for row in new.accuracy if row.ratio))
    note = (
        f"{names.removeprefix(f'{beside}, ')}: measured again {new.created}, commit {new.commit}, "
        f"beside {beside}, whose pace of before the times are brought to"
    )
    return dataclasses.replace(
        old,
        accuracy=tuple(sorted(rows.values(), key=lambda row: sets.index(row.data))),
        notes=(*old.notes, note),
    )


def _key(row: Accuracy) -> tuple[str, str]:
    return row.model.name, row.data.name


def _at_pace(row: Accuracy, first: Accuracy) -> Accuracy:
    """Its processor time, as it would have been beside the old rows; the clock tells nothing."""
    if row.ratio is None or first.cpu is None:
        return row
    return dataclasses.replace(row, cpu=row.ratio.scaled(first.cpu.value), seconds=None)
