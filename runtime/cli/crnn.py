"""``crnn``: all commands in the order of the work, and completion for the shells."""

from importlib.util import find_spec

import click
from click.shell_completion import get_completion_class

from crnn_runtime.cli.group import Entry, LazyGroup
from crnn_runtime.errors import CrnnError, install_command

_TABLE = (
    ("label", "crnn_serve.label.cli", "Label lines on a page, the least certain first."),
    ("synth", "crnn.cli.synth", "Draw synthetic lines or pages with their labels."),
    ("train", "crnn.cli.train", "Train a reader on your lines or on synthetic ones."),
    ("export", "crnn_export.cli.export", "Checkpoint to ONNX, TensorRT or Triton, verified."),
    ("infer", "crnn_runtime.cli.infer", "Read lines or whole pages."),
    ("bulk", "crnn_serve.bulk.cli", "Read millions of pictures, on one machine or a cluster."),
    ("web", "crnn_serve.web.cli", "Try readers on a page, and compare them."),
    ("bench", "crnn_benchmarks.cli.bench", "Measure latency, throughput and accuracy."),
    ("lm", "crnn_runtime.cli.lm", "Make a character language model for infer --lm."),
)
COMMANDS = {name: Entry(module, "main", text) for name, module, text in _TABLE}
"""Every command by its name, in the order of the work: ``train`` is ``crnn-train``."""

EXTRAS = {
    "label": ("label", {"fastapi", "uvicorn"}),
    "synth": ("synth", {"fontTools", "PIL"}),
    "train": ("train", {"torch", "torchvision", "onnx"}),
    "export": ("export", {"torch", "onnxscript"}),
    "infer": ("cpu", {"onnxruntime"}),
    "bulk": ("bulk", {"ray", "pyarrow"}),
    "web": ("web", {"gradio"}),
    "bench": ("bench", {"torch", "onnxscript", "matplotlib"}),
}
"""Command → the extra that brings what it needs, and packages by which this is known."""
_ENGINES = ("tensorrt", "tensorrt_rtx")
"""They read without ONNX Runtime."""


class _Commands(LazyGroup):
    def describe(self, name: str) -> str:
        """Its help, and the extra to add first."""
        extra = missing_extra(name)
        return super().describe(name) + (f"  [{extra}]" if extra else "")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line that says how an extra is added, if one is missing."""
        missing = filter(None, map(missing_extra, self.entries))
        if extra := next(missing, None):
            formatter.write(f"\n[...] is an extra to add: {install_command(extra)}\n")


def missing_extra(name: str) -> str | None:
    """The extra that a command needs and that is not installed; nothing is imported."""
    extra, packages = EXTRAS.get(name, ("", set()))
    if all(find_spec(package) for package in packages):
        return None
    return None if extra == "cpu" and any(map(find_spec, _ENGINES)) else extra


@click.group(cls=_Commands, entries=COMMANDS, invoke_without_command=True)
@click.version_option(package_name="crnn")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Read lines of text, train a reader of your own, and ship it verified.

    Each command is also a program of its own: crnn train is crnn-train. The Tab key
    completes them after eval "$(crnn completion bash)", in ~/.bashrc; zsh and fish
    are known, too.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script by which bash, zsh or fish completes them.

    eval "$(crnn completion bash)" in ~/.bashrc runs it for every shell.
    """
    if (kind := get_completion_class(shell)) is None:
        raise CrnnError(f"click completes nothing for {shell}")
    for program in ("crnn", *(f"crnn-{name}" for name in COMMANDS)):
        variable = f"_{program}_COMPLETE".replace("-", "_").upper()
        click.echo(kind(main, {}, program, variable).source())


if __name__ == "__main__":
    main()
