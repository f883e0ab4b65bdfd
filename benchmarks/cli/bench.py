"""``crnn-bench``: measurements that anyone can repeat, and the pages they make."""

from importlib import import_module
from typing import NamedTuple

import click

from crnn_runtime.cli.console import explain_missing


class _Case(NamedTuple):
    """The module of a command within `crnn_benchmarks`, its function there, and its help."""

    module: str
    function: str
    help: str


CASES = {
    "latency": _Case("cli.speed", "latency", "Time readers and architectures, stage by stage."),
    "throughput": _Case("cli.speed", "throughput", "Pictures a second, from files to text."),
    "accuracy": _Case("cli.reading", "accuracy", "Accuracy on labelled lines."),
    "peers": _Case("cli.reading", "peers", "Other people's readers on the same lines."),
    "train": _Case("cli.speed", "train", "Lines a second of a training step."),
    "front": _Case("cli.front", "front", "The picture of accuracy and time."),
    "report": _Case("cli.report", "report", "Pages of a report, or of the changes between two."),
    "runtime": _Case("cases.runtime.targets", "main", "Figures of the runtime, with targets."),
    "decode": _Case("cases.decode", "main", "Beam search, language model, lexicon, best path."),
    "synth": _Case("cases.synth", "main", "Synthetic lines a second, memory of a worker."),
    "train-loop": _Case("cases.training.loops", "main", "The training loop against bare ones."),
    "train-check": _Case("cases.training.check", "main", "The check of data before training."),
    "pages": _Case("cases.pages", "main", "Whole pages, beside RapidOCR."),
    "bulk": _Case("cases.serving.bulk", "main", "crnn-bulk against bare processes."),
    "triton": _Case("cases.serving.triton", "main", "Triton against the runtime alone."),
    "web": _Case("cases.serving.web", "main", "Memory of the page's server over many visits."),
    "footprint": _Case("cases.footprint", "main", "Size of installed packages."),
}
"""Every measurement by the name of its command. A new one is one line here."""


class _Cases(click.Group):
    """A group whose commands are imported when they are called, not for the list of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, as `CASES` has them."""
        return list(CASES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in CASES:
            return None
        case = CASES[cmd_name]
        try:
            module = import_module(f"crnn_benchmarks.{case.module}")
        except ModuleNotFoundError as error:
            explain_missing(error)
        command: click.Command = getattr(module, case.function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, case.help) for name, case in CASES.items()])


@click.command(cls=_Cases)
@click.version_option(package_name="crnn")
def main() -> None:
    """Measure readers of text lines: latency, throughput, accuracy, peers, training.

    The first five commands write their figures as JSON, and beside it a Markdown and
    an HTML page; front and report read that; the others print their figures. Models: files
    or names of shipped readers; architectures have random weights and are for latency only.
    """


if __name__ == "__main__":
    main()
