"""The page of the readers that ship says what their cards say."""

from click.testing import CliRunner

from crnn_runtime.backends import open_backend
from crnn_runtime.readers import reader_names
from tools import zoo


def test_the_page_is_what_the_cards_say() -> None:
    result = CliRunner().invoke(zoo.main, ["--check"])
    assert result.exit_code == 0, "run python -m tools.zoo"
    text = zoo.PAGE.read_text("utf-8")
    for name in reader_names():
        card = open_backend(name).card
        assert f"## `{name}`" in text
        for data, scores in card.evaluation.items():
            assert f"| `{data}` | {scores['lines']} | {scores['exact']:.2%} |" in text
        assert card.training["curve"]
        assert f"`{card.training['how'].removeprefix(zoo.COMMANDS_OF)}`" in text
