"""One reader out of several fine-tuned ones and their common start.

    python -m tools.soup START RUN/last.pth RUN/last.pth --share 0.5 --out soup.pth

The mean of the fine-tuned weights (Wortsman et al. 2022, Model soups, arXiv 2203.05482) is
blended with the start, as `crnn-train --blend` does with one run. The runs have one alphabet
and began from START.
"""

import sys
from pathlib import Path

import click
import torch

from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError


@click.command(cls=Command)
@click.argument("start", type=click.Path(path_type=Path))
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(start: Path, runs: tuple[Path, ...], share: float, out: Path) -> None:
    """Write the blend of START and the mean of RUNS."""
    from crnn.checkpoints import load_checkpoint, save_checkpoint  # noqa: PLC0415 (torch)
    from crnn.model import build_model, load_weights  # noqa: PLC0415
    from crnn.training.blend import blended  # noqa: PLC0415
    from crnn.training.start.transfer import init_weights  # noqa: PLC0415

    tuned = [load_checkpoint(run) for run in runs]
    first = tuned[0]
    cards = [each.card for each in tuned]
    card = cards[0]
    for path, each in zip(runs, cards, strict=True):
        if card is None or each is None or (each.arch, each.alphabet) != (card.arch, card.alphabet):
            raise CrnnError(
                f"{path} and {runs[0]} are not readers of one architecture and alphabet"
            )
    assert card is not None
    model = build_model(card.arch, card.num_classes, card.channels)
    fresh = init_weights(model, card, start).fresh
    mean = {
        name: torch.stack([each.state_dict[name] for each in tuned]).mean(0)
        if value.is_floating_point()
        else value
        for name, value in first.state_dict.items()
    }
    result = first.build()
    load_weights(result, blended(model.state_dict(), mean, share, fresh))
    told = [dict(each.training) for each in cards if each is not None]
    summary = {"start": start.name, "blend": share, "runs": told}
    save_checkpoint(out, result, card.replace(training=summary))
    click.echo(f"Wrote {out}: {share:g} of {len(runs)} runs, {1 - share:g} of {start.name}")


if __name__ == "__main__":
    sys.exit(main())
