"""Labels with odd white space: each line is kept as it is written, or named, and none moves."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from crnn.data.annotations import read_annotations
from crnn_runtime.model.alphabet import Alphabet

KNOWN = " 　abé12"
ODD = "\t\x0b\x0c\x1c\x85\xa0\u1680\u2009\u200b\u2028\u2029\u202f\ufeff"
LABELS = st.lists(st.text(st.sampled_from(KNOWN + ODD), max_size=6), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(labels=LABELS, end=st.sampled_from(["\n", "\r\n"]), mark=st.sampled_from(["", "\ufeff"]))
def test_labels_with_odd_white_space(labels: list[str], end: str, mark: str) -> None:
    alphabet = Alphabet(KNOWN)
    rows = [f"{number}.png\t{label}" for number, label in enumerate(labels)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.tsv"
        file.write_bytes((mark + end.join(rows) + end).encode())
        found = read_annotations(file, alphabet)
    kept = found.numbers.tolist()
    assert sorted(kept + [defect.line for defect in found.defects]) == [*range(1, len(rows) + 1)]
    for index, number in enumerate(kept):
        assert found.images[index] == f"{number - 1}.png"
        assert alphabet.decode(found.label(index).tolist()) == labels[number - 1]
    for defect in found.defects:
        label = labels[defect.line - 1]
        assert not label or set(label) - set(KNOWN)
        assert "\n" not in str(defect)
        assert len(str(defect).splitlines()) == 1
