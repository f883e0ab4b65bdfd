"""The decoding options of crnn-infer, from the command line to the output."""

import json
from pathlib import Path

import cv2
import pytest
from barcode import barcode_card, draw_barcode, write_barcode_reader
from click.testing import CliRunner, Result

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
            assert result.exit_code == 2
            assert "none of the 3 lexicon entries" in result.stderr
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


@pytest.mark.parametrize(("head", "arguments", "message"), [
    ("greedy", ("--decoder", "beam"), "crnn-export --head topk or --head log-probs"),
    ("greedy", ("--deny", "1"), "crnn-export --head topk or --head log-probs"),
    ("topk", ("--decoder", "greedy", "--nbest", "2"), "the greedy decoder takes no lm"),
    ("topk", ("--nbest", "9"), "nbest is 9 but beam_width is 8"),
    ("topk", ("--nbest", "2"), "--nbest has alternatives that only --json shows"),
    ("topk", ("--lm-weight", "0.5"), "--lm-weight balances a language model: give --lm too"),
    ("topk", ("--length-bonus", "0"), "--length-bonus balances a language model: give --lm too"),
    ("topk", ("--lm", "{folder}/lm.arpa", "--lm-weight", "nan"), "lm_weight is nan: it must be"),
    ("topk", ("--lm", "{folder}/lm.arpa", "--length-bonus", "-inf"), "length_bonus is -inf"),
    ("topk", ("--beam-width", "8"), "--beam-width is of the beam search: give --decoder beam too"),
    ("topk", ("--top-k", "2", "--decoder", "greedy"), "--top-k is of the beam search"),
    ("topk", ("--top-k", "2", "--lexicon", "{folder}/words.txt"), "--top-k has no effect"),
    ("topk", ("--top-k", "9", "--decoder", "beam"), "top_k is 9 but the model gives 2 classes"),
    ("log-probs", ("--top-k", "12", "--nbest", "2", "--json"), "top_k is 12 but"),
    ("topk", ("--allow", "ab"), "allowed characters that the model cannot read: 'a' 'b'"),
    ("topk", ("--lm", "{folder}/none.arpa"), "cannot read language model"),
    ("topk", ("--lm", "{folder}/words.txt"), "neither an ARPA file nor a KenLM binary"),
    ("topk", ("--lexicon", "{folder}/none.txt"), "cannot read lexicon"),
    ("topk", ("--deny", "@{folder}/none.txt"), "cannot read character list"),
])  # fmt: skip
def test_mistakes_are_one_line(
    folder: Path, head: str, arguments: tuple[str, ...], message: str
) -> None:
    result = infer(folder, head, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
