from crnn_benchmarks.harness.child import ChildError
from crnn_benchmarks.harness.timing import Plan, by_turns, workers


class Counted:
    """Counts its runs, and fails on one of them."""

    def __init__(self, name: str, log: list[str], seconds: float, fails_at: int = 0) -> None:
        self.name, self.log, self.seconds = name, log, seconds
        self.problem: str | None = None
        self.fails_at = fails_at
        self.rounds: list[int] = []

    def run(self, times: int) -> None:
        self.log.append(self.name)
        self.rounds.append(times)
        if len(self.rounds) == self.fails_at:
            raise ChildError("it broke")


def silent(_: str) -> None:
    pass


def test_everything_has_its_turn_in_every_round() -> None:
    log: list[str] = []
    cases = [Counted(name, log, 1e-4) for name in "abc"]
    between: list[int] = []
    assert by_turns(cases, Plan(6, 0.01), silent, lambda: between.append(1)) == 6
    rounds = [log[start : start + 3] for start in range(0, 18, 3)]
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    assert len({tuple(names) for names in rounds}) > 1  # not always after the same neighbour
    assert len(between) == 18


def test_a_quick_one_runs_more_often() -> None:
    quick, slow = Counted("quick", [], 1e-3), Counted("slow", [], 1e-2)
    by_turns([quick, slow], Plan(5, 0.5), silent)
    assert quick.rounds == [40] * 5
    assert slow.rounds == [5] * 5


def test_too_little_time_means_fewer_rounds_but_some() -> None:
    case = Counted("x", [], 1.0)
    assert by_turns([case], Plan(100, 10), silent) == 10
    assert by_turns([Counted("x", [], 100.0)], Plan(100, 10), silent) == 4


def test_one_that_fails_is_left_alone_and_the_rest_goes_on() -> None:
    log: list[str] = []
    good, bad = Counted("good", log, 1e-4), Counted("bad", log, 1e-4, fails_at=2)
    by_turns([good, bad], Plan(5, 0.01), silent)
    assert bad.problem == "it broke"
    assert len(bad.rounds) == 2
    assert len(good.rounds) == 5
    assert by_turns([bad], Plan(5, 0.01), silent) == 0


def test_a_worker_that_died_is_started_again() -> None:
    with workers() as crew:
        assert crew.life("a") == 0
        assert crew.ask("a", "yardstick")["seconds"] > 0
        first = crew.life("a")
        crew._children["a"]._process.kill()
        crew._children["a"]._process.wait()
        assert crew.life("a") == 0
        assert crew.ask("a", "yardstick")["seconds"] > 0
        assert crew.life("a") == first + 1
