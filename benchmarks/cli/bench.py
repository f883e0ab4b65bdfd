"""``crnn-bench``: measurements that anyone can repeat, and the pages they make."""

import click

from crnn_runtime.cli.group import Entry, LazyGroup

CASES = {
    "latency": Entry(".cli.speed", "latency", "Time readers and architectures, stage by stage."),
    "throughput": Entry(".cli.speed", "throughput", "Pictures a second, from files to text."),
    "accuracy": Entry(".cli.reading", "accuracy", "Accuracy on labelled lines."),
    "peers": Entry(".cli.reading", "peers", "Other people's readers on the same lines."),
    "train": Entry(".cli.speed", "train", "Lines a second of a training step."),
    "front": Entry(".cli.front", "front", "The picture of accuracy and time."),
    "report": Entry(".cli.report", "report", "Pages of a report, or of the changes between two."),
    "runtime": Entry(".cases.runtime.targets", "main", "Figures of the runtime, with targets."),
    "decode": Entry(".cases.decode", "main", "Beam search, language model, lexicon, best path."),
    "synth": Entry(".cases.synth", "main", "Synthetic lines a second, memory of a worker."),
    "train-loop": Entry(".cases.training.loops", "main", "The training loop against bare ones."),
    "train-check": Entry(".cases.training.check", "main", "The check of data before training."),
    "pages": Entry(".cases.pages", "main", "Whole pages, beside RapidOCR."),
    "bulk": Entry(".cases.serving.bulk", "main", "crnn-bulk against bare processes."),
    "triton": Entry(".cases.serving.triton", "main", "Triton against the runtime alone."),
    "web": Entry(".cases.serving.web", "main", "Memory of the page's server over many visits."),
    "footprint": Entry(".cases.footprint", "main", "Size of installed packages."),
}
"""Every measurement by the name of its command. A new one is one line here."""


@click.group(cls=LazyGroup, entries=CASES, package="crnn_benchmarks")
@click.version_option(package_name="crnn")
def main() -> None:
    """Measure readers of text lines: latency, throughput, accuracy, peers, training.

    The first five commands write their figures as JSON, and beside it a Markdown and
    an HTML page; front and report read that; the others print their figures. Models: files
    or names of shipped readers; architectures have random weights and are for latency only.
    """


if __name__ == "__main__":
    main()
