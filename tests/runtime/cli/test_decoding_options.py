"""The decoding options of crnn-infer, from the command line to the output."""

import json
from pathlib import Path

import cv2
import pytest
from barcode import barcode_card, draw_barcode, write_barcode_reader
from click.testing import CliRunner, Result
from refusals import assert_usage_error

from crnn_runtime.cli.infer import main
from crnn_runtime.decode.ngram import build_ngrams


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decoding")
    for head in ("greedy", "topk", "log-probs"):
        write_barcode_reader(folder / f"{head}.onnx", barcode_card(head=head))
    picture = cv2.imencode(".png", draw_barcode("4711"))[1].tobytes()
    folder.joinpath("line.png").write_bytes(picture)
    folder.joinpath("words.txt").write_text("4712\n0815\n4711\n", encoding="utf-8")
    folder.joinpath("digits.txt").write_text("0\n2\n4\n7\n", encoding="utf-8")
    model = build_ngrams(["4711", "0815"], 3)
    folder.joinpath("lm.arpa").write_text(model, encoding="utf-8")
    return folder


def infer(folder: Path, head: str, *arguments: str) -> Result:
    files = [str(folder / f"{head}.onnx"), str(folder / "line.png")]
    return CliRunner().invoke(main, [*files, *(a.format(folder=folder) for a in arguments)])


@pytest.mark.parametrize(("arguments", "text"), [
    ((), "4711"),
    (("--decoder", "greedy"), "4711"),
    (("--decoder", "beam", "--beam-width", "2", "--top-k", "1"), "4711"),
    (("--lm", "{folder}/lm.arpa", "--lm-weight", "0.3", "--length-bonus", "0.5"), "4711"),
    (("--lexicon", "{folder}/words.txt"), "4711"),
    (("--lexicon", "{folder}/words.txt", "--deny", "1"), None),
    (("--allow", "@{folder}/digits.txt", "--decoder", "beam"), None),
])  # fmt: skip
def test_options_reach_the_decoder(
    folder: Path, arguments: tuple[str, ...], text: str | None
) -> None:
    for head in ("topk", "log-probs"):
        result = infer(folder, head, *arguments)
        if "--lexicon" in arguments and text is None:
            assert_usage_error(result, "lexicon")
            continue
        assert result.exit_code == 0, result.output
        read = result.stdout.rstrip("\n").split("\t")[1]
        assert read == text if text else "1" not in read


def test_json_holds_the_alternatives(folder: Path) -> None:
    result = infer(folder, "log-probs", "--nbest", "3", "--json")
    content = json.loads(result.stdout)
    texts = [alternative["text"] for alternative in content["alternatives"]]
    assert len(texts) == len(set(texts)) == 3
    assert texts[0] == content["text"] == "4711"
    scores = [alternative["score"] for alternative in content["alternatives"]]
    assert scores == sorted(scores, reverse=True)
    assert content["alternatives"][0].keys() == {"text", "log_prob", "score"}
    assert "alternatives" not in json.loads(infer(folder, "log-probs", "--json").stdout)


@pytest.mark.parametrize(("head", "arguments", "name"), [
    ("greedy", ("--decoder", "beam"), "--head"),
    ("greedy", ("--deny", "1"), "--head"),
    ("topk", ("--decoder", "greedy", "--nbest", "2"), "nbest"),
    ("topk", ("--nbest", "9"), "beam_width"),
    ("topk", ("--nbest", "2"), "--json"),
    ("topk", ("--lm-weight", "0.5"), "--lm-weight"),
    ("topk", ("--length-bonus", "0"), "--length-bonus"),
    ("topk", ("--lm", "{folder}/lm.arpa", "--lm-weight", "nan"), "nan"),
    ("topk", ("--lm", "{folder}/lm.arpa", "--length-bonus", "-inf"), "-inf"),
    ("topk", ("--beam-width", "8"), "--beam-width"),
    ("topk", ("--top-k", "2", "--decoder", "greedy"), "--top-k"),
    ("topk", ("--top-k", "2", "--lexicon", "{folder}/words.txt"), "--top-k"),
    ("topk", ("--top-k", "9", "--decoder", "beam"), "top_k is 9"),
    ("log-probs", ("--top-k", "12", "--nbest", "2", "--json"), "top_k is 12"),
    ("topk", ("--allow", "ab"), "'a' 'b'"),
    ("topk", ("--lm", "{folder}/none.arpa"), "none.arpa"),
    ("topk", ("--lm", "{folder}/words.txt"), "words.txt"),
    ("topk", ("--lexicon", "{folder}/none.txt"), "none.txt"),
    ("topk", ("--deny", "@{folder}/none.txt"), "none.txt"),
])  # fmt: skip
def test_mistakes_are_one_line(
    folder: Path, head: str, arguments: tuple[str, ...], name: str
) -> None:
    result = infer(folder, head, *arguments)
    assert_usage_error(result, name)
    assert result.stderr.count("\n") == 1
