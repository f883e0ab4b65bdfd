import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_line, refused

from crnn.data.annotations import Annotations, find_annotations, read_annotations
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

DIGITS = Alphabet("0123456789")


def read(tmp_path: Path, content: str | bytes, alphabet: Alphabet = DIGITS) -> Annotations:
    file = tmp_path / "train.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_annotations(file, alphabet)


def labels(annotations: Annotations, alphabet: Alphabet = DIGITS) -> list[str]:
    return [alphabet.decode(annotations.label(index)) for index in range(len(annotations))]


def test_codes_of_the_original(tmp_path: Path) -> None:
    annotations = read(tmp_path, "a.jpg 2 3 3\nsub/b c 7.jpg 10\n")
    assert annotations.images == ["a.jpg", "sub/b c 7.jpg"]
    assert labels(annotations) == ["122", "9"]
    assert annotations.defects == []


@pytest.mark.parametrize(
    "text", ["0123456789", "blank\n" + "\n".join("0123456789"), "\n0123456789"]
)
def test_codes_beside_the_alphabet_that_they_are_of(tmp_path: Path, text: str) -> None:
    (tmp_path / "alphabet.txt").write_text(text)
    assert labels(read(tmp_path, "a.jpg 2 3 3\n")) == ["122"]


@pytest.mark.parametrize("text", ["1234567890", "0123456789a", "012345678"])
def test_codes_beside_another_alphabet_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "alphabet.txt").write_text(text)
    with refused("train.txt", "alphabet.txt"):
        read(tmp_path, "a.jpg 2 3 3\n")
    assert labels(read(tmp_path, "a.jpg\t122\n")) == ["122"]  # text means itself


def test_tsv_keeps_spaces_tabs_and_odd_line_separators(tmp_path: Path) -> None:
    alphabet = Alphabet("ab \t\u2028")
    annotations = read(tmp_path, "é ü.png\t a\tb\u2028 \r\n", alphabet)
    assert annotations.images == ["é ü.png"]
    assert labels(annotations, alphabet) == [" a\tb\u2028 "]


def test_a_tsv_is_text_whatever_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "train.tsv"
    file.write_text("a.jpg 1 2\nb.jpg 3 4\nc.jpg\t5\n")
    annotations = read_annotations(file, DIGITS)
    assert annotations.images == ["c.jpg"]
    assert [defect.kind for defect in annotations.defects] == ["format", "format"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("title\na.jpg\t1\nb.jpg\t2\n", ["1", "2"]),
        ("a.jpg\t1\nb.jpg 3\nc.jpg 2 2\n", ["0", "2", "11"]),
        ("\n\n \na.jpg\t1\n", ["1"]),
        ("", []),
    ],
)
def test_one_line_does_not_make_another_format_of_a_file(
    tmp_path: Path, content: str, found: list[str]
) -> None:
    assert labels(read(tmp_path, content)) == found


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named_once(tmp_path: Path, encoding: str) -> None:
    marks = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    with pytest.raises(CrnnError, match="UTF-16"):
        read(tmp_path, marks.get(encoding, b"") + "a.jpg\t1\n".encode(encoding))


WHITE = st.sampled_from(" \t\r\x0b\x0c\x85\xa0\u2003\u2028\u200b\u3000\ufeff")


@given(
    lines=st.lists(st.text(WHITE | st.sampled_from("a1é\x00."), max_size=12), max_size=6),
    suffix=st.sampled_from([".txt", ".tsv"]),
)
def test_odd_white_space_is_a_label_or_a_defect_of_its_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], suffix: str
) -> None:
    file = tmp_path_factory.getbasetemp() / f"odd{suffix}"
    file.write_bytes("\n".join(lines).encode())
    annotations = read_annotations(file, Alphabet("a1é. \u3000"))
    filled = {number for number, line in enumerate(lines, 1) if line.strip("\ufeff").strip()}
    seen = {*annotations.numbers.tolist(), *(each.line for each in annotations.defects)}
    assert filled <= seen
    assert all("\n" not in str(each) for each in annotations.defects)


def test_bom_and_crlf_are_no_part_of_the_first_path(tmp_path: Path) -> None:
    annotations = read(tmp_path, b"\xef\xbb\xbfa.jpg 1\r\n\r\nb.jpg 2\r\n")
    assert annotations.images == ["a.jpg", "b.jpg"]
    assert annotations.numbers.tolist() == [1, 3]


def test_every_defect_of_a_code_file_names_its_line(tmp_path: Path) -> None:
    annotations = read(tmp_path, b"ok.jpg 1\na.jpg 1 11 0\nb.jpg\n\xff.jpg 1\nc.jpg -1\n")
    assert annotations.images == ["ok.jpg"]
    assert [(defect.line, defect.kind) for defect in annotations.defects] == [
        (2, "unknown-character"),
        (3, "no-label"),
        (4, "encoding"),
        (5, "unknown-character"),
    ]
    assert_line(str(annotations.defects[0]), "train.txt:2", "11", "1..10")
    assert annotations.unknown == {"code 11": [2], "code 0": [2], "code -1": [5]}


def test_every_defect_of_a_tsv_names_its_line(tmp_path: Path) -> None:
    annotations = read(tmp_path, "ok.jpg\t1\na.jpg\t1x2x\nb.jpg\t\nc.jpg\n\t5\n")
    assert [(defect.line, defect.kind) for defect in annotations.defects] == [
        (2, "unknown-character"),
        (3, "no-label"),
        (4, "format"),
        (5, "format"),
    ]
    assert_line(str(annotations.defects[0]), "'x'", "U+0078", "'1x2x'")
    assert annotations.unknown == {"x": [2, 2]}


def test_decomposed_labels_are_composed_only_when_that_helps(tmp_path: Path) -> None:
    composed = read(tmp_path, "a\te\u0301\n", Alphabet("\u00e9"))
    assert (labels(composed, Alphabet("\u00e9")), composed.renormalized) == (["\u00e9"], 1)
    marks = Alphabet("e\u0301")
    assert labels(read(tmp_path, "a\te\u0301\n", marks), marks) == ["e\u0301"]


def test_labels_are_matched_with_the_longest_entries(tmp_path: Path) -> None:
    alphabet = Alphabet(["c", "h", "ch", "🇨🇳", " "])
    annotations = read(tmp_path, "a.png\tchc 🇨🇳\nb.png\tc🇨\n", alphabet)
    assert annotations.label(0).tolist() == [3, 1, 5, 4]
    assert list(annotations.unknown) == ["🇨"]
    assert annotations.steps_needed().tolist() == [4]


def test_a_duplicate_entry_keeps_its_own_code(tmp_path: Path) -> None:
    assert read(tmp_path, "a.jpg 3 1\n", Alphabet("aba")).label(0).tolist() == [3, 1]


def test_missing_files_are_named(tmp_path: Path) -> None:
    with refused("train.txt", "train.tsv", "LMDB"):
        find_annotations(tmp_path, "train")
    with refused(tmp_path / "x"):
        find_annotations(tmp_path / "x", "train")
    (tmp_path / "dev.tsv").touch()
    assert find_annotations(tmp_path, "dev").name == "dev.tsv"
    (tmp_path / "dev.txt").touch()
    with refused("dev.txt", "dev.tsv"):
        find_annotations(tmp_path, "dev")


@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=6), min_size=1, max_size=8))
def test_steps_needed_is_length_plus_repeats(lines: list[list[int]]) -> None:
    annotations = Annotations(
        file=Path("x"),
        images=["i"] * len(lines),
        codes=np.array([*itertools.chain(*lines)], np.int32),
        offsets=np.cumsum([0, *map(len, lines)]).astype(np.int64),
        numbers=np.arange(len(lines), dtype=np.int32),
    )
    needed = [
        len(line) + sum(one == two for one, two in itertools.pairwise(line)) for line in lines
    ]
    assert annotations.steps_needed().tolist() == needed
    keep = np.arange(len(lines)) % 2 == 0
    kept = annotations.select(keep)
    assert [kept.label(i).tolist() for i in range(len(kept))] == lines[::2]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    annotations = read(tmp_path, "")
    assert len(annotations) == 0
    assert annotations.steps_needed().tolist() == []
