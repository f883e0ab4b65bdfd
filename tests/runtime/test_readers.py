"""Readers that ship with the package, found by name."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from crnn_runtime import Recognizer
from crnn_runtime.backends import open_backend
from crnn_runtime.cli.infer import main
from crnn_runtime.errors import ModelError
from crnn_runtime.readers import find_model, reader_names, reader_path

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "docs" / "samples"
LINES = ROOT / "examples" / "lines"
READERS = reader_names()


def test_a_shipped_reader_is_found_by_its_name_and_no_folder_hides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert READERS
    monkeypatch.chdir(tmp_path)
    name = READERS[0]
    assert find_model(name) == reader_path(name)
    assert find_model(Path("a") / name) == Path("a", name)
    (tmp_path / name).mkdir()
    assert find_model(name) == reader_path(name)
    assert find_model(f"{name}.onnx") == Path(f"{name}.onnx")


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(ModelError, match=f"nothing-like-it.*{READERS[0]}"):
        Recognizer("nothing-like-it")


@pytest.mark.parametrize("name", READERS)
def test_a_shipped_reader_says_what_it_is_and_is_small(name: str) -> None:
    with Recognizer(name) as reader:
        card = reader.card
    assert reader_path(name).stat().st_size <= 22e6
    assert b"stack_trace" not in reader_path(name).read_bytes()
    assert card.training.get("steps") or card.training["lines"] > 0
    assert card.evaluation, "no measured accuracy in the card"
    assert all(scores["lines"] >= 50 for scores in card.evaluation.values())


def test_the_list_shows_name_alphabet_size_and_measured_accuracy() -> None:
    result = CliRunner().invoke(main, ["--list"])
    assert result.exit_code == 0
    for name in READERS:
        assert f"{name}\t" in result.output
    assert "10 characters: 0123456789\n" in result.output
    assert "5989 characters: " in result.output
    assert result.output.count("exactly right") == sum(
        len(open_backend(name).card.evaluation) for name in READERS
    )


def samples() -> dict[str, str]:
    """File → what it reads; the file is named after its reader."""
    rows = (SAMPLES / "labels.tsv").read_text("utf-8").splitlines()
    return dict(row.split("\t") for row in rows)


@pytest.mark.parametrize("sample", samples())
def test_a_shipped_reader_reads_its_sample(sample: str) -> None:
    with Recognizer(Path(sample).stem) as reader:
        assert reader.read([SAMPLES / sample])[0].text == samples()[sample]


def test_zh_reads_all_samples() -> None:
    """`make demo` shows these texts."""
    with Recognizer("zh") as reader:
        lines = reader.read([SAMPLES / sample for sample in samples()])
    assert [line.text for line in lines] == list(samples().values())


def test_digits_reads_the_samples_by_name() -> None:
    paths = sorted(LINES.glob("*.png"))
    with Recognizer("digits") as reader:
        assert [line.text for line in reader.read(paths)] == [path.stem for path in paths]
