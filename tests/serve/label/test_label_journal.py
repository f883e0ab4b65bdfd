"""Nothing that was acknowledged is lost, whatever ends the process or fills the disk."""

import random
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from crnn_runtime import Alphabet, CrnnError
from crnn_serve.label.journal import NAME, Journal, NotStoredError, Record
from crnn_serve.label.labels import Labels

_WRITER = """
import sys
from pathlib import Path
from crnn_runtime.model.alphabet import Alphabet
from crnn_serve.label.labels import Labels
labels = Labels(Path(sys.argv[1]), Alphabet("0123456789"))
print("ready", flush=True)
for number in range(10**6):
    key = sorted(labels._by_key)[number % 20]
    version = labels.entry(key).version
    labels.answer(key, version, "text", f"{sys.argv[2]}-{number}")
    print(f"{labels.entry(key).path} {version + 1} {sys.argv[2]}-{number}", flush=True)
"""


@pytest.fixture
def room_for_300_bytes() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def _replayed(folder: Path) -> list[Record]:
    journal = Journal(folder)
    journal.close()
    return journal.records


def test_answers_come_back_as_they_were_given(tmp_path: Path) -> None:
    given = [
        Record("ä 'b'\"<i>.png", 1, "text", "列车\u2028 \\n"),
        Record("x.png", 1, "skip"),
        Record("x.png", 2, "trusted", "7", 0.9995),
    ]
    journal = Journal(tmp_path)
    journal.append(given[:1])
    journal.append(given[1:])
    journal.close()
    assert _replayed(tmp_path) == given


def test_half_an_answer_is_cut_off_and_the_next_is_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([Record("a.png", 1, "text", "1")])
    journal.close()
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"path": "b.png", "ver')
    journal = Journal(tmp_path)
    journal.append([Record("c.png", 1, "text", "3")])
    journal.close()
    assert [record.path for record in _replayed(tmp_path)] == ["a.png", "c.png"]


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b'{"path": 1, "version": 1, "kind": "text"}', b"\xff\x00",
             b'{"path": "a", "version": 1, "kind": "eaten"}'],
)  # fmt: skip
def test_a_journal_that_is_damaged_is_named_not_mended(tmp_path: Path, line: bytes) -> None:
    Journal(tmp_path).close()
    with (tmp_path / NAME).open("ab") as file:
        file.write(line + b"\n")
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(CrnnError, match="line 2"):
        Journal(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before


def test_a_folder_has_one_journal_open_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(CrnnError):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()


@pytest.mark.parametrize("how", ["appended", "replaced", "deleted"])
def test_a_journal_that_another_writes_takes_no_more_answers(tmp_path: Path, how: str) -> None:
    journal = Journal(tmp_path)
    file = tmp_path / NAME
    if how == "appended":
        file.write_bytes(file.read_bytes() + b"x")
    else:
        content = file.read_bytes()
        file.unlink()
        if how == "replaced":
            file.write_bytes(content)
    with pytest.raises(NotStoredError):
        journal.append([Record("a.png", 1, "text", "1")])
    journal.close()


@pytest.mark.usefixtures("room_for_300_bytes")
def test_a_full_disk_refuses_an_answer_and_keeps_those_before(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    stored = []
    with suppress(NotStoredError):
        for number in range(100):
            journal.append([Record(f"{number}.png", 1, "text", "1")])
            stored.append(f"{number}.png")
    assert 1 < len(stored) < 99
    with pytest.raises(NotStoredError):
        journal.append([Record("x" * 300, 1, "text", "1")])
    resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)[1:] * 2)
    journal.append([Record("after.png", 1, "text", "1")])
    journal.close()
    assert [record.path for record in _replayed(tmp_path)] == [*stored, "after.png"]


@pytest.mark.slow  # ten processes
def test_a_process_killed_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.png").touch()
    chance = random.Random(5)
    acknowledged: set[tuple[str, int, str]] = set()
    for attempt in range(10):
        command = [sys.executable, "-c", _WRITER, str(tmp_path), str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            killer = threading.Timer(chance.uniform(0.0, 0.3), process.kill)
            killer.start()
            for said in process.stdout:
                if said.endswith("\n"):
                    path, version, text = said.split()
                    acknowledged.add((path, int(version), text))
            killer.join()
        records = _replayed(tmp_path)
        assert acknowledged <= {(each.path, each.version, each.text) for each in records}
    assert acknowledged, "nobody got to answer"
    Labels(tmp_path, Alphabet("0123456789")).close()
    rows = "".join((tmp_path / f"{side}.tsv").read_text() for side in ("train", "dev"))
    last = {each.path: f"{each.path}\t{each.text}" for each in records}
    assert sorted(rows.splitlines()) == sorted(last.values())
