import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_line, refused

from crnn.data.annotations import read_annotations
from crnn.synth import Synthesizer
from crnn.synth.stream import CHUNK, encoded_chunks
from crnn.synth.writers import FolderWriter, LmdbWriter, is_dev, prepare, whole_prefix
from crnn_runtime.model.alphabet import Alphabet

COUNT = 2 * CHUNK + 10
DIGITS = Alphabet.load("digits")


@pytest.fixture(scope="module")
def synthesizer() -> Synthesizer:
    return Synthesizer("digits", seed=5, fonts="packages")


def write_folder(
    folder: Path, synthesizer: Synthesizer, stop: int = COUNT, workers: int = 0
) -> Path:
    prepare(folder, {"preset": "digits", "seed": synthesizer.seed}, DIGITS)
    writer = FolderWriter(folder, DIGITS, 0.1)
    for lines in encoded_chunks(synthesizer, writer.count(), stop, workers):
        writer.write(lines)
    assert writer.count() == stop
    writer.close()
    return folder


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_same_bytes_for_any_number_of_workers_and_after_a_stop(
    tmp_path: Path, synthesizer: Synthesizer
) -> None:
    one = digest(write_folder(tmp_path / "one", synthesizer))
    assert len(one) == COUNT + 4
    assert digest(write_folder(tmp_path / "eight", synthesizer, workers=8)) == one
    write_folder(tmp_path / "halves", synthesizer, stop=CHUNK)
    with (tmp_path / "halves" / "train.txt").open("ab") as file:
        file.write(b"000000/00")  # as a killed process leaves it
    lists = (tmp_path / "halves" / "dev.txt").read_text().splitlines(keepends=True)
    (tmp_path / "halves" / "dev.txt").write_text("".join(lists[:-1]))
    assert digest(write_folder(tmp_path / "halves", synthesizer)) == one
    other = Synthesizer("digits", seed=6, fonts="packages")
    assert digest(write_folder(tmp_path / "other", other)) != one


def test_the_folder_is_in_the_original_format(tmp_path: Path, synthesizer: Synthesizer) -> None:
    folder = write_folder(tmp_path / "D", synthesizer, stop=70)
    assert Alphabet.load(str(folder / "alphabet.txt")) == DIGITS
    found = {}
    for part in ("train", "dev"):
        for line in (folder / f"{part}.txt").read_text().splitlines():
            name, *codes = line.split(" ")
            found[name] = DIGITS.decode(map(int, codes))
            assert is_dev(int(name[-13:-4]), 0.1) == (part == "dev")
    assert list(found.values()) != sorted(found.values())
    for name, text in found.items():
        sample = synthesizer.line(int(name[-13:-4]))
        assert text == sample.text
        image = cv2.imdecode(np.fromfile(folder / "images" / name, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert image.shape == sample.image.shape
        # JPEG halves the resolution of colour: compare the brightness.
        difference = image.astype(float).mean(2) - sample.image.mean(2)
        assert np.abs(difference).mean() < 4
    assert sum(is_dev(index, 0.1) for index in range(70)) == 7
    assert len(read_annotations(folder / "dev.txt", DIGITS).images) == 7


def test_lmdb_follows_the_convention_and_resumes(tmp_path: Path, synthesizer: Synthesizer) -> None:
    for stop in (CHUNK, 100):
        writer = LmdbWriter(tmp_path, 0.1)
        for lines in encoded_chunks(synthesizer, writer.count(), stop, 0):
            writer.write(lines)
        writer.close()
    texts = []
    for part in ("train", "dev"):
        with lmdb.open(str(tmp_path / part), readonly=True) as base, base.begin() as transaction:
            for number in range(1, int(transaction.get(b"num-samples")) + 1):
                texts.append(transaction.get(b"label-%09d" % number).decode())
                assert transaction.get(b"image-%09d" % number)[:2] == b"\xff\xd8"
            assert transaction.get(b"label-%09d" % (number + 1)) is None
    assert sorted(texts) == sorted(synthesizer.line(index).text for index in range(100))


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, synthesizer: Synthesizer) -> None:
    (tmp_path / "thesis.doc").touch()
    with refused(tmp_path):
        prepare(tmp_path, {}, DIGITS)
    folder = write_folder(tmp_path / "D", synthesizer, stop=3)
    with refused(folder, "seed 5", "6"):
        prepare(folder, {"preset": "digits", "seed": 6}, DIGITS)
    with refused("thesis.doc"):
        prepare(tmp_path / "thesis.doc" / "D", {}, DIGITS)


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))  # as if the disk were full
from crnn.cli.synth import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("kind", ["images", "lmdb"])
def test_a_full_disk_ends_in_one_line_and_what_is_written_is_whole(
    tmp_path: Path, kind: str
) -> None:
    command = [sys.executable, "-c", FULL, "--preset", "digits", "--fonts", "packages"]
    options = ["--count", "2000", "--workers", "0", "--format", kind, "--out", str(tmp_path / "D")]
    run = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert_line(run.stderr.splitlines()[-1], tmp_path / "D")
    if kind == "images":
        listed = [
            line.split(" ")[0]
            for part in ("train", "dev")
            for line in (tmp_path / "D" / f"{part}.txt").read_text().splitlines()
        ]
        assert len(listed) % CHUNK == 0
        assert len(listed) > 0
        for name in listed:
            assert cv2.imread(str(tmp_path / "D" / "images" / name)) is not None
        assert f"{len(listed)} of 2000 " in run.stderr


@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_run_is_whole_and_goes_on(tmp_path: Path, workers: int) -> None:
    out = tmp_path / "D"
    program = "from crnn.cli.synth import main; main()"
    arguments = ["--preset", "digits", "--fonts", "packages", "--out", str(out)]
    command = [sys.executable, "-c", program, *arguments, "--workers", str(workers)]
    # A session of its own: like a terminal's Ctrl-C, the signal goes to all its processes.
    with subprocess.Popen(
        [*command, "--count", "100000"], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        for _ in range(600):
            time.sleep(0.05)
            if (out / "train.txt").exists() and (out / "train.txt").stat().st_size:
                break
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in errors
    listed = [line.split(" ")[0] for line in (out / "train.txt").read_text().splitlines()]
    assert listed
    assert all((out / "images" / name).stat().st_size > 100 for name in listed)
    assert " of 100000 " in errors
    again = subprocess.run([*command, "--count", "1"], capture_output=True, text=True, check=False)
    assert again.returncode == 0


@given(
    st.integers(0, 500), st.sampled_from([0.0, 0.02, 0.1, 1 / 3, 0.5]), st.integers(0, 70),
    st.booleans(),
)  # fmt: skip
def test_what_both_parts_have_is_found(done: int, share: float, ahead: int, in_dev: bool) -> None:
    dev = sum(is_dev(index, share) for index in range(done))
    train = done - dev
    found = whole_prefix(train + ahead * (not in_dev), dev + ahead * in_dev, share)
    # At most the lines of the lagging part's next turn may be whole besides.
    assert found >= done
    devs = sum(is_dev(index, share) for index in range(found))
    assert devs <= dev + ahead * in_dev
    assert found - devs <= train + ahead * (not in_dev)
