import sys
from pathlib import Path

import pytest
from refusals import refused

from crnn_benchmarks.harness.child import Child, ChildError, output_of

SERVER = """
import sys
from crnn_benchmarks.peers.runner import answer_questions
import os, signal, time

def fail(_):
    raise ValueError("the reason\\nand more")

def shout(message):
    print("an advertisement")
    os.write(1, b"from C as well\\n")
    return {"said": message["word"]}

answer_questions({
    "shout": shout,
    "fail": fail,
    "die": lambda _: os.kill(os.getpid(), signal.SIGSEGV),
    "leave": lambda _: sys.exit("gone for good"),
    "sleep": lambda _: time.sleep(60),
})
"""


@pytest.fixture
def server(tmp_path: Path) -> list[str]:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    return [sys.executable, str(script)]


def test_it_answers_whatever_else_it_prints(server: list[str]) -> None:
    with Child(server) as child:
        assert child.ask("shout", word="ü") == {"said": "ü"}
        assert child.ask("shout", word="again") == {"said": "again"}


def test_an_error_is_told_and_the_next_question_answered(server: list[str]) -> None:
    with Child(server) as child:
        with pytest.raises(ChildError, match=r"^ValueError: the reason$"):
            child.ask("fail")
        with pytest.raises(ChildError, match="'nonsense'"):
            child.ask("nonsense")
        assert child.ask("shout", word="x") == {"said": "x"}


@pytest.mark.parametrize(
    ("question", "message"), [("die", "SIGSEGV"), ("leave", "1: gone for good")]
)
def test_how_it_ended_is_told(server: list[str], question: str, message: str) -> None:
    with Child(server) as child:
        with pytest.raises(ChildError, match=message):
            child.ask(question)
        assert not child.alive
        with pytest.raises(ChildError, match=message):
            child.ask("shout", word="x")


def test_it_may_not_take_for_ever(server: list[str]) -> None:
    with Child(server, timeout=0.3) as child, pytest.raises(ChildError, match=r"within 0 s|no ans"):
        child.ask("sleep")


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ChildError, match="/no/such/python"):
        Child(["/no/such/python"])


def test_a_program_that_is_killed_is_an_error_of_one_line() -> None:
    """Every command reports it with status 2, wherever a process of it is killed."""
    assert output_of([sys.executable, "-c", "print('text')"]) == "text\n"
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with refused("SIGKILL"):
        output_of([sys.executable, "-c", killed])
    with pytest.raises(ChildError, match=r"3: no"):
        output_of([sys.executable, "-c", "import sys; print('no', file=sys.stderr); sys.exit(3)"])
