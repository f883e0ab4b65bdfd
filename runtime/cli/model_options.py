"""Options about models that several commands have."""

import click

from crnn_runtime.readers import reader_names, reader_path

_SHOWN = 20  # characters of an alphabet

card_option = click.option(
    "--card",
    type=click.Path(),
    help="Model card (JSON) of an ONNX file that has none inside, see docs/foreign.md.",
)

list_option = click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, wanted: list_readers(ctx) if wanted else None,
    help="List the readers that ship with the package and exit.",
)


def list_readers(ctx: click.Context) -> None:
    """Print the shipped readers: name, alphabet, size, and how well each reads what."""
    from crnn_runtime.backends import open_backend  # noqa: PLC0415 (numpy: not for --help)

    for name in reader_names():
        path = reader_path(name)
        with open_backend(path) as backend:
            card = backend.card
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
    ctx.exit()
