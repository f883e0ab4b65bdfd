"""``crnn-train``: train a reader, check a data set, measure a checkpoint."""

import dataclasses
import hashlib
import json
import logging
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crnn.cli._options import training_options
from crnn.cli.completion import RECIPE
from crnn.training.config import TrainConfig
from crnn.training.config.optimisation import INIT
from crnn.training.config.option import parse_share, parse_shares
from crnn_runtime.console import Command
from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import NAMED_ALPHABETS, Alphabet
from crnn_runtime.picture.messages import silence_opencv
from crnn_runtime.readers import find_model

if TYPE_CHECKING:
    from crnn.training import TrainResult

EXIT_BAD_DATA = 1
logger = logging.getLogger(__name__)


@click.command(cls=Command)
@click.option(
    "--recipe",
    type=RECIPE,
    metavar="NAME|FILE",
    help="Take the defaults of all options from crnn/recipes/NAME.toml.",
)
@click.option(
    "--alphabet",
    help="Name, characters or UTF-8 file; from the checkpoint or the preset if left out.",
)
@training_options
@click.option(
    "--not-pretrained",
    is_flag=True,
    help="Has no effect: nothing is ever downloaded. --init starts from weights.",
)
@click.option(
    "--check", is_flag=True, help="Check the data set and print a summary of it; do not train."
)
@click.option(
    "--test-only",
    is_flag=True,
    help="Print the accuracy of --resume on the dev set; the worst lines go to --directory.",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.tar.xz",
    help="Pack all that the run needs, for a machine that has little; do not train.",
)
@click.option("--list", "list_archs", is_flag=True, help="Print a table of the architectures.")
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

    Ctrl-C and SIGTERM end it after the step it is in; the same command goes on.

    Exit status: 0 done, 1 some lines could not be read, 2 wrong usage, unusable data or a
    worker that was killed, 130 or 143 stopped by Ctrl-C or SIGTERM.
    """  # fmt: skip
    logging.getLogger("crnn").setLevel(logging.INFO)
    # Before torch is loaded: idle threads that spin starve the workers of small machines.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if options.pop("list_archs"):
        _print_archs()
        return
    silence_opencv()
    is_check, is_test = options.pop("check"), options.pop("test_only")
    bundle = options.pop("bundle")
    options.pop("not_pretrained")
    recipe = options.pop("recipe")
    plain, options = options, options if recipe is None else _with_recipe(ctx, options, recipe)
    if is_test:
        ctx.exit(_test(options))
    if is_check:
        ctx.exit(_check(_config(options)))
    before = _before(recipe, options)
    if bundle is not None:
        if before:
            raise CrnnError(
                f"recipe {recipe} goes on from {before[-1]}: pack that first, then this with "
                "--init and its best.pth"
            )
        from crnn.bundle import pack  # noqa: PLC0415 (fontTools: not for --help)

        logger.info("packing %s, which takes minutes for Chinese fonts", bundle)
        size = pack(_config(options), bundle)
        click.echo(f"Wrote {bundle} ({size / 1e6:.1f} MB): unpack it and run ./train.sh")
        return
    from crnn.training.turns import train_in_turn  # noqa: PLC0415

    stages = []
    if before:
        home = options["directory"] = options["directory"] or Path("runs") / Path(recipe).stem
        for name in before:
            folder = home / Path(name).stem
            logger.info("recipe %s comes before %s: %s", name, recipe, folder)
            stages.append(_config(_with_recipe(ctx, plain, name) | {"directory": folder}))
    ctx.exit(_report(train_in_turn([*stages, _config(options)])))


def _with_recipe(ctx: click.Context, options: dict[str, Any], name: str) -> dict[str, Any]:
    """The options with the recipe's values where one was not given."""
    from crnn.recipes import load_recipe  # noqa: PLC0415

    given = click.core.ParameterSource.COMMANDLINE
    recipe = load_recipe(name)
    return options | {o: recipe[o] for o in recipe if ctx.get_parameter_source(o) is not given}


def _before(recipe: str | None, options: dict[str, Any]) -> list[str]:
    """The recipes to train first: none if there are weights to begin with."""
    if recipe is None or options.get("init") or options.get("resume"):
        return []
    from crnn.recipes import recipes_before  # noqa: PLC0415

    return recipes_before(recipe)


def _config(options: dict[str, Any]) -> TrainConfig:
    options = {name: value for name, value in options.items() if value is not None}
    for option in {"init", "resume", "teacher"} & options.keys():
        if options[option] != INIT:  # a reader's name will do, too
            options[option] = type(options[option])(find_model(options[option]))
    options["alphabet"] = _alphabet(options)
    if "arch" not in options:
        options["arch"] = _stored_arch(options) or "lite"
    options["gpu"] = _gpu(options.pop("gpu", None))
    options.setdefault("workers", max(1, available_cpus() - 1))
    options.setdefault("threads", available_cpus())
    options["mix"] = tuple(parse_share(text) for text in options.get("mix", ()))
    options["blend"] = parse_shares(options.get("blend", ()))
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
    if text is not None:
        return text if isinstance(text, Alphabet) else Alphabet.load(text)
    for option in ("resume", "init"):
        if path := options.get(option):
            from crnn.checkpoints import load_model  # noqa: PLC0415

            own = options.get("init_alphabet") if option == "init" else None
            return load_model(path, alphabet=own)[1].alphabet
    if preset := options.get("synth"):
        from crnn.synth import PRESETS  # noqa: PLC0415 (Pillow: not for --help)

        if preset not in PRESETS:
            raise CrnnError(f"no preset {preset!r}: choose from {', '.join(PRESETS)}")
        return Alphabet.load(PRESETS[preset].alphabet)
    if options.get("unlabelled") and (path := options.get("teacher")) not in (None, INIT):
        from crnn.checkpoints import load_model  # noqa: PLC0415

        return load_model(Path(path))[1].alphabet
    raise CrnnError(
        "no --alphabet: give a file, the characters themselves, or one of "
        + ", ".join(NAMED_ALPHABETS)
    )


def _stored_arch(options: dict[str, Any]) -> str | None:
    path = options.get("resume") or options.get("init")
    if path is None:
        return None
    from crnn.checkpoints import load_checkpoint  # noqa: PLC0415

    return load_checkpoint(path).arch


def _gpu(asked: int | None) -> int | None:
    if asked is None:
        import torch  # noqa: PLC0415

        return 0 if torch.cuda.is_available() else None
    return None if asked < 0 else asked


def _report(result: "TrainResult") -> int:
    if result.stopped is not None:
        return 128 + result.stopped  # as shells have it
    if os.environ.get("RANK", "0") != "0":  # under torchrun the first process speaks
        return EXIT_BAD_DATA if result.failures else 0
    from crnn.training.report.reporter import kept  # noqa: PLC0415

    for name, scores in result.scores.items():
        click.echo(f"{name}: {scores}{kept(scores, result.before.get(name))}")
    when = "" if result.best_step is None else f" of step {result.best_step}"
    click.echo(f"best: {result.best}{when}; {result.steps} steps, {result.minutes:.1f} minutes")
    reader = result.best.with_suffix(".onnx")
    export = shlex.join(["crnn-export", "--ckpt", str(result.best), "--out", str(reader)])
    click.echo(f"next: {export}")
    click.echo(f"      {shlex.join(['crnn-infer', str(reader)])} PICTURES…")
    for failure in result.failures[:20]:
        click.echo(failure, err=True)
    return EXIT_BAD_DATA if result.failures else 0


def _check(config: TrainConfig) -> int:
    from crnn.data.check import check, describe  # noqa: PLC0415
    from crnn.training.inputs import (  # noqa: PLC0415
        annotation_files,
        image_root,
        open_presets,
        steps_of,
        warn_of_shared,
    )

    card = config.card()
    defects, useless = 0, list[Path]()
    before = None
    for file in annotation_files(config):
        data = check(file, card, steps_of(card), root=image_root(config, file))
        if before is not None and file.parent == before.annotations.file.parent:
            warn_of_shared(data, before)
        before = data
        for line in describe(data, card):
            click.echo(line)
        for defect in data.named:
            click.echo(str(defect), err=True)
        defects += len(data.defects)
        if not len(data):
            useless.append(file)
    if useless:
        raise CrnnError(f"{useless[0]} has no usable line")
    open_presets(config, card)
    return EXIT_BAD_DATA if defects else 0


def _test(options: dict[str, Any]) -> int:
    from crnn.checkpoints import load_model  # noqa: PLC0415
    from crnn.training import distributed, evaluate  # noqa: PLC0415
    from crnn.training.inputs import load_dev  # noqa: PLC0415
    from crnn.training.report.worst import save_worst  # noqa: PLC0415

    path = options.pop("resume")
    if path is None:
        raise CrnnError("--test-only measures a checkpoint: give it with --resume")
    text, folder = options["alphabet"], options["directory"]
    model, card = load_model(path, options["arch"], text)
    config = _config(options | {"alphabet": card.alphabet, "arch": card.arch})
    card = card.replace(**config.size())  # the original's checkpoints do not say theirs
    model = model.to(distributed.pick_device(config.gpu))
    import torch  # noqa: PLC0415

    if config.threads:
        torch.set_num_threads(config.threads)
    failures = []
    for name, source in load_dev(config, card).items():
        reading = evaluate(
            model, source, card,
            batch_size=config.batch_size, workers=config.workers, precision=config.precision,
        )  # fmt: skip
        click.echo(f"{'accuracy' if name == 'dev' else name}: {reading.scores}")
        failures += reading.failures
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            save_worst(folder, name, source, reading, card.color)
    for failure in failures:
        click.echo(failure, err=True)
    return EXIT_BAD_DATA if failures else 0


def _print_archs() -> None:
    from crnn.training.table import arch_table  # noqa: PLC0415

    for line in arch_table():
        click.echo(line)


if __name__ == "__main__":
    main()
