"""``crnn-train``: train a reader, check a data set, measure a checkpoint."""

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crnn.training.config import OPTIMIZERS, PRECISIONS, SCHEDULES, TrainConfig, parse_share
from crnn_runtime.alphabet import NAMED_ALPHABETS, Alphabet
from crnn_runtime.console import Command
from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import CrnnError

if TYPE_CHECKING:
    from crnn.training import TrainResult
    from crnn_runtime.card import ModelCard

EXIT_BAD_DATA = 1

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(min=0)


def _option(*names: str, **settings: Any) -> Callable[[F], F]:  # noqa: ANN401
    """An option of the same name and default as a field of `TrainConfig`."""
    default = _DEFAULTS.get(names[0].removeprefix("--").partition("/")[0].replace("-", "_"))
    if default is not dataclasses.MISSING and default is not None and "default" not in settings:
        settings |= {"default": default, "show_default": True}
    return click.option(*names, **settings)


@click.command(cls=Command)
@_option("--recipe", help="Take the defaults of all options from crnn/recipes/NAME.toml.")
@_option("--dataset-root", type=_PATH, help="Folder with train.txt or .tsv, dev.*, images/.")
@_option("--synth", metavar="PRESET", help="Train on synthetic lines, such as digits or latin.")
@_option("--synth-lines", type=click.IntRange(min=1), help="Synthetic lines that make an epoch.")
@_option("--dev-lines", type=click.IntRange(min=1), help="Fresh synthetic lines to validate on.")
@_option(
    "--mix",
    multiple=True,
    metavar="DATA=SHARE",
    help="Draw SHARE of every epoch from the folder DATA, or from synth:PRESET.",
)
@_option("--augment", type=float, help="Share of real training pictures changed at random.")
@_option("--arch", help="Architecture: crnn-train --list shows them.  [default: lite]")
@_option(
    "--alphabet",
    help="Name, characters or UTF-8 file; from the checkpoint or the preset if left out.",
)
@_option("--height", type=click.IntRange(min=1), help="Height in pixels of the reader's lines.")
@_option("--width", type=click.IntRange(min=1), help="Stretch every line to this width.")
@_option("--keep-ratio", is_flag=True, help="Keep the aspect ratio instead.")
@_option("--optimizer", type=click.Choice(OPTIMIZERS))
@_option("--lr", type=float, help="Highest learning rate.")
@_option("--schedule", type=click.Choice(SCHEDULES), help="Of the learning rate.")
@_option("--warmup", type=float, help="Share of the run in which the learning rate rises.")
@_option("--lr-decay", type=float, help="Factor per epoch of the exponential schedule.")
@_option("--weight-decay", type=float, help="Of kernels.  [default: 0.01 for adamw, else 0]")
@_option("--momentum", type=float, help="Of sgd and rmsprop.")
@_option(
    "--align",
    type=float,
    help="Share of the run in which synthetic lines also teach where their characters are.",
)
@_option("--clip", type=float, help="Highest norm of the gradient; 0 is none.")
@_option("--ema", type=float, help="Decay of averaged weights, such as 0.999; 0 is off.")
@_option("--precision", type=click.Choice(PRECISIONS), help="Of the network; CTC is float32.")
@_option("--batch-size", type=click.IntRange(min=1), help="Lines a batch and process.")
@_option("--accumulate", type=click.IntRange(min=1), help="Batches a step.")
@_option("--max-epoch", type=click.IntRange(min=1))
@_option("--max-steps", type=click.IntRange(min=1), help="Stop sooner after so many steps.")
@_option("--max-minutes", type=float, help="Stop sooner after so many minutes.")
@_option(
    "--init",
    type=_PATH,
    metavar="CKPT",
    help="Start from these weights only; classes are matched by character.",
)
@_option(
    "--not-pretrained",
    is_flag=True,
    help="Accepted and without effect: nothing is ever downloaded, pretraining is --init.",
)
@_option("--freeze-backbone", type=_COUNT, metavar="N", help="Epochs of the classifier alone.")
@_option(
    "--resume",
    type=_PATH,
    metavar="CKPT",
    help="Continue this run exactly; the same "
    "command goes on by itself. With --test-only any checkpoint.",
)
@_option("--fresh", is_flag=True, help="Start over in a directory that holds a run.")
@_option("--test-only", is_flag=True, help="Print the accuracy of --resume on the dev set.")
@_option("--check", is_flag=True, help="Check the data set, print what is in it, train nothing.")
@_option("--skip-bad", is_flag=True, help="Leave unusable lines out, listed in the directory.")
@_option("--overfit", type=_COUNT, metavar="N", help="Self-test: learn N lines by heart.")
@_option("--list", "list_archs", is_flag=True, help="Print a table of the architectures.")
@_option(
    "--directory",
    type=_PATH,
    help="For checkpoints and logs.  [default: runs/, named by the options]",
)
@_option("--gpu-id", type=int, help="GPU to train on, -1 the CPU.  [default: 0 if there is one]")
@_option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all allowed]")
@_option(
    "--workers",
    type=_COUNT,
    default=None,
    show_default="one per CPU, less one",
    help="Processes that load or draw lines.",
)
@_option("--seed", type=_COUNT, help="Of weights, order, synthesis and augmentation.")
@_option("--channels-last/--channels-first", help="Memory layout of the network.")
@_option("--compile", is_flag=True, help="Let torch.compile fuse the network.")
@_option("--validate-interval", type=click.IntRange(min=1), help="Epochs between validations.")
@_option("--validate-steps", type=_COUNT, help="Steps between further validations; 0 is none.")
@_option("--save-interval", type=_COUNT, help="Epochs between numbered checkpoints; 0 is none.")
@_option("--save-steps", type=_COUNT, help="Steps between saves of last.pth; 0: at epoch ends.")
@_option("--print-freq", type=click.IntRange(min=1), help="Steps between log lines.")
@click.version_option(package_name="crnn")
@click.pass_context
def main(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401
    """Train a reader of text lines.

    \b
    crnn-train --synth digits --max-minutes 4
    crnn-train --dataset-root D --arch mobilenetv2_cifar --alphabet alphabet.txt
    crnn-train --dataset-root D --resume runs/x/best.pth --test-only

    A data set is a folder with train.txt ("img_path code code ...", codes from 1) or
    train.tsv ("path<TAB>text"), the same for dev, and the pictures, in images/ or beside.

    Exit status: 0 done, 1 some lines could not be read, 2 wrong usage or unusable data.
    """  # fmt: skip
    logging.getLogger("crnn").setLevel(logging.INFO)
    # Before torch is loaded: idle threads that spin starve the workers of small machines.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if options.pop("list_archs"):
        _print_archs()
        return
    _silence_opencv()
    _take_recipe(ctx, options)
    is_check, is_test = options.pop("check"), options.pop("test_only")
    options.pop("not_pretrained")
    if is_test:
        ctx.exit(_test(options))
    if is_check:
        ctx.exit(_check(_config(options)))
    from crnn.training.loop import train  # noqa: PLC0415

    ctx.exit(_report(train(_config(options))))


def _silence_opencv() -> None:
    """Unreadable pictures are reported by path; its own lines do not name them."""
    import cv2  # noqa: PLC0415 - --help must not wait for it

    cv2.utils.logging.setLogLevel(0)


def _take_recipe(ctx: click.Context, options: dict[str, Any]) -> None:
    """Fill in the recipe's values where an option was not given."""
    name = options.pop("recipe")
    if name is None:
        return
    from crnn.recipes import load_recipe  # noqa: PLC0415

    for option, value in load_recipe(name).items():
        if ctx.get_parameter_source(option) is not click.core.ParameterSource.COMMANDLINE:
            options[option] = value


def _config(options: dict[str, Any]) -> TrainConfig:
    options = {name: value for name, value in options.items() if value is not None}
    options["alphabet"] = _alphabet(options)
    options.setdefault("arch", _stored_arch(options) or "lite")
    options["gpu"] = _gpu(options.pop("gpu_id", None))
    options.setdefault("workers", max(1, available_cpus() - 1))
    options.setdefault("threads", available_cpus())
    options["mix"] = tuple(parse_share(text) for text in options.get("mix", ()))
    directory = options.pop("directory", None) or Path("runs")
    config = TrainConfig(directory=directory, **options)
    if directory != Path("runs"):
        return config
    # Another experiment gets another folder, the same command the same one.
    print_ = json.dumps(config.fingerprint(), sort_keys=True, ensure_ascii=False)
    key = hashlib.sha256(print_.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return dataclasses.replace(config, directory=directory / f"{config.arch}-{key}")


def _alphabet(options: dict[str, Any]) -> Alphabet:
    text = options.get("alphabet")
    if text:
        return text if isinstance(text, Alphabet) else Alphabet.load(text)
    for option in ("resume", "init"):
        if path := options.get(option):
            from crnn.checkpoint import load_model  # noqa: PLC0415

            return load_model(path)[1].alphabet
    if preset := options.get("synth"):
        from crnn.synth import PRESETS  # noqa: PLC0415 (Pillow: not for --help)

        if preset not in PRESETS:
            raise CrnnError(f"no preset {preset!r}: choose from {', '.join(PRESETS)}")
        return Alphabet.load(PRESETS[preset].alphabet)
    raise CrnnError(
        "no --alphabet: give a file, the characters themselves, or one of "
        + ", ".join(NAMED_ALPHABETS)
    )


def _stored_arch(options: dict[str, Any]) -> str | None:
    path = options.get("resume") or options.get("init")
    if path is None:
        return None
    from crnn.checkpoint import load_checkpoint  # noqa: PLC0415

    return load_checkpoint(path).arch


def _gpu(asked: int | None) -> int | None:
    if asked is None:
        import torch  # noqa: PLC0415

        return 0 if torch.cuda.is_available() else None
    return None if asked < 0 else asked


def _report(result: "TrainResult") -> int:
    if os.environ.get("RANK", "0") != "0":  # under torchrun the first process speaks
        return EXIT_BAD_DATA if result.failures else 0
    for name, scores in result.scores.items():
        click.echo(f"{name}: {scores}")
    click.echo(f"best: {result.best} after {result.steps} steps, {result.minutes:.1f} minutes")
    for failure in result.failures[:20]:
        click.echo(failure, err=True)
    return EXIT_BAD_DATA if result.failures else 0


def _check(config: TrainConfig) -> int:
    from crnn.data.check import check, describe  # noqa: PLC0415
    from crnn.training.inputs import annotation_files, steps_of  # noqa: PLC0415

    card = config.card()
    defects, useless = 0, list[Path]()
    for file in annotation_files(config):
        data = check(file, card, steps_of(card))
        for line in describe(data, card):
            click.echo(line)
        for defect in data.defects:
            click.echo(str(defect), err=True)
        defects += len(data.defects)
        if not len(data):
            useless.append(file)
    if useless:
        raise CrnnError(f"{useless[0]} has no usable line")
    return EXIT_BAD_DATA if defects else 0


def _test(options: dict[str, Any]) -> int:
    from crnn.checkpoint import load_model  # noqa: PLC0415
    from crnn.training import distributed, evaluate  # noqa: PLC0415
    from crnn.training.inputs import load_dev  # noqa: PLC0415

    path = options.pop("resume")
    if path is None:
        raise CrnnError("--test-only measures a checkpoint: give it with --resume")
    text = options["alphabet"]
    alphabet = Alphabet.load(text) if text else None
    model, card = load_model(path, options["arch"], alphabet)
    card = _with_size(card, options)
    config = _config(options | {"alphabet": card.alphabet, "arch": card.arch})
    device = distributed.pick_device(config.gpu)
    import torch  # noqa: PLC0415

    if config.threads:
        torch.set_num_threads(config.threads)
    reading = evaluate(
        model.to(device), load_dev(config, card), card,
        batch_size=config.batch_size, workers=config.workers, precision=config.precision,
    )  # fmt: skip
    click.echo(f"accuracy: {reading.scores}")
    for failure in reading.failures:
        click.echo(failure, err=True)
    return EXIT_BAD_DATA if reading.failures else 0


def _with_size(card: "ModelCard", options: dict[str, Any]) -> "ModelCard":
    """The card, with the size asked for: the original's checkpoints do not say theirs."""
    changes: dict[str, Any] = {}
    if options["height"] is not None:
        changes["height"] = options["height"]
    if options["keep_ratio"]:
        changes["width"] = None
    elif options["width"] is not None:
        changes["width"] = options["width"]
    return card.replace(**changes)


def _print_archs() -> None:
    from crnn.training.table import arch_table  # noqa: PLC0415

    for line in arch_table():
        click.echo(line)


if __name__ == "__main__":
    main()
