"""``crnn-synth``: draw synthetic lines to disk, contact sheets and coverage reports."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from crnn_runtime.console import Command, explain_missing
from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

try:  # the presets are part of --help
    from crnn.synth.coverage import Coverage
    from crnn.synth.engine import Synthesizer
    from crnn.synth.page import PageSynthesizer
    from crnn.synth.page.folder import write_pages
    from crnn.synth.presets import PRESETS
    from crnn.synth.rendered.dataset import render
    from crnn.synth.rendered.pages import Pages
    from crnn.synth.sheet import draw_sheet
    from crnn.synth.split import SPLITS
    from crnn.synth.stream import encoded_chunks
    from crnn.synth.text.corpus import find_texts, open_corpus
    from crnn.synth.text.words import Lexicon, read_languages
    from crnn.synth.writers import FolderWriter, LmdbWriter, Writer, prepare
except ModuleNotFoundError as error:
    explain_missing(error)

_PATH = click.Path(path_type=Path)
_EPILOG = "Presets: " + "; ".join(f"{name}: {p.summary}" for name, p in PRESETS.items())


@click.command(cls=Command, epilog=_EPILOG)
@click.option("--preset", help="Kind of lines, see below; --sheet draws all kinds without it.")
@click.option("--count", type=click.IntRange(min=1), help="Lines.  [default: 1000, 24 a sheet]")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all chances."
)
@click.option("--workers", type=click.IntRange(min=0), help="Processes.  [default: one per CPU]")
@click.option(
    "--out",
    type=_PATH,
    metavar="D",
    help="Folder for the lines; the same command continues a run that was stopped.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(("images", "lmdb")),
    default="images",
    show_default=True,
    help="images/ with train.txt and dev.txt (integer codes), or LMDB databases train and dev.",
)
@click.option(
    "--rendered",
    is_flag=True,
    help="Cut lines out of web pages that Chromium renders, instead of drawing a preset; the "
    "pages are kept, too.",
)
@click.option(
    "--pages",
    is_flag=False,
    flag_value="",
    metavar="[KIND,…]",
    help="Draw whole pages instead of lines, and list their lines in pages.jsonl. Kinds: letter, "
    "columns, table, receipt, notice; all if none is named.",
)
@click.option(
    "--dev-share",
    type=click.FloatRange(0, 0.5),
    default=0.02,
    show_default=True,
    help="Share of the lines that goes to dev.",
)
@click.option("--sheet", type=_PATH, metavar="FILE", help="Draw a labelled contact sheet.")
@click.option(
    "--coverage",
    type=_PATH,
    multiple=True,
    metavar="FILE",
    help="Report how often each character appears: .tsv a table, .png a plot; may be repeated.",
)
@click.option(
    "--corpus",
    type=_PATH,
    multiple=True,
    help="UTF-8 text file or folder to draw from, or the word words.  [default: what `make texts` "
    "installed, else words]",
)
@click.option("--words", type=_PATH, help="UTF-8 word list to draw from: word, space, count.")
@click.option("--fonts", multiple=True, help="Font file, folder, packages, system or a query.")
@click.option("--backgrounds", type=_PATH, multiple=True, help="Folder of pictures to print on.")
@click.option("--alphabet", help="Name, characters or UTF-8 file.  [default: the preset's]")
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="all",
    show_default=True,
    help="Fonts and words for training, or those kept apart for evaluation.",
)
@click.option(
    "--min-count",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Draw rare characters more often, until each appears at least this often in --count "
    "lines.",
)
def main(**options: Any) -> None:  # noqa: ANN401
    """Draw synthetic lines of text.

    Line i of a preset and seed is always the same, however many lines, workers
    or runs it takes.

    \b
    crnn-synth --preset document --count 20000 --out data
    crnn-synth --sheet sheet.png
    crnn-synth --preset chinese-strings --count 100000 --min-count 20 --coverage rare.png
    crnn-synth --rendered --count 10000 --out rendered
    crnn-synth --pages receipt,table --count 100 --out pages
    """
    if options["rendered"]:
        _render(options)
        return
    if options["pages"] is not None:
        _draw_pages(options)
        return
    preset, out, sheet = options["preset"], options["out"], options["sheet"]
    if not (out or sheet or options["coverage"]):
        raise CrnnError("nothing to do: give --out, --sheet or --coverage")
    if preset is None and (out or options["coverage"]):
        raise CrnnError(f"which preset? --preset takes {', '.join(PRESETS)}")
    if sheet:
        names = [preset] if preset else list(PRESETS)
        drawn = [_synthesizer(name, options) for name in names]
        draw_sheet(drawn, options["count"] or 24, sheet)
        click.echo(f"{sheet}: {', '.join(names)}")
    if out or options["coverage"]:
        synthesizer = _synthesizer(preset, options)
        _warn(synthesizer)
        coverage = Coverage(synthesizer.alphabet)
        if out:
            _write(synthesizer, out, options, coverage)
        else:
            for index in range(options["count"] or 1000):
                coverage.add(synthesizer.text(index))
        for path in options["coverage"]:
            coverage.write(path)
        click.echo(coverage.summary())


_OF_RENDERED = {
    "rendered", "count", "seed", "out", "corpus", "words", "alphabet", "split", "dev_share"
}  # fmt: skip
_OF_PAGES = {"pages", "count", "seed", "out", "fonts", "backgrounds", "alphabet", "split"}


def _demand_only(options: dict[str, Any], taken: set[str], what: str) -> None:
    given = click.get_current_context().get_parameter_source
    for name in options.keys() - taken:
        if given(name) is ParameterSource.COMMANDLINE:
            flag = "format" if name == "kind" else name.replace("_", "-")
            raise CrnnError(f"--{flag} has no effect on {what}: leave it out")
    if options["out"] is None:
        raise CrnnError("nothing to do: give --out")


def _draw_pages(options: dict[str, Any]) -> None:
    _demand_only(options, _OF_PAGES, "--pages")
    kinds = [kind.strip() for kind in options["pages"].split(",") if kind.strip()]
    fonts, pictures = options["fonts"] or None, options["backgrounds"] or None
    pages = PageSynthesizer(
        options["seed"],
        fonts=fonts,
        split=options["split"],
        alphabet=Alphabet.load(options["alphabet"]) if options["alphabet"] else None,
        pictures=pictures,
        kinds=dict.fromkeys(kinds, 1.0) or None,
    )
    info = {
        "pages": sorted(kinds), "seed": options["seed"], "split": options["split"],
        "alphabet": pages.alphabet.sha256, "fonts": list(map(str, fonts or ())),
        "backgrounds": list(map(str, pictures or ())),
    }  # fmt: skip
    count = options["count"] or 1000
    with click.progressbar(length=count, label=str(options["out"])) as bar:
        lines = write_pages(pages, options["out"], count, info, bar.update)
    click.echo(f"{count} pages with {lines} lines in {options['out']}")


def _render(options: dict[str, Any]) -> None:
    _demand_only(options, _OF_RENDERED, "--rendered")
    alphabet, split = Alphabet.load(options["alphabet"] or "zh"), options["split"]
    texts = find_texts(options["corpus"] or None)
    words = read_languages(options["words"]) if options["words"] else None
    lexicon = Lexicon(alphabet, split, open_corpus(texts, split) if texts else None, words)
    with click.progressbar(length=options["count"] or 1000, label=str(options["out"])) as bar:
        found = render(
            Pages.of_system(lexicon, split),
            alphabet,
            options["out"],
            count=options["count"] or 1000,
            seed=options["seed"],
            dev_share=options["dev_share"],
            tell=bar.update,
        )
    counted = ", ".join(f"{count} {name}" for name, count in found.items())
    click.echo(f"{counted} in {options['out']}")


def _synthesizer(preset: str, options: dict[str, Any]) -> Synthesizer:
    alphabet = Alphabet.load(options["alphabet"]) if options["alphabet"] else None
    rare = 0.0
    if options["min_count"]:
        named = PRESETS[preset].alphabet if preset in PRESETS else "zh"
        # One round more than the lines make whole: any run of --count lines has enough.
        wanted = (options["min_count"] + 1) * len(alphabet or Alphabet.load(named))
        rare = wanted / (options["count"] or 1000)
    return Synthesizer(
        preset,
        options["seed"],
        fonts=options["fonts"] or None,
        split=options["split"],
        alphabet=alphabet,
        corpus=options["corpus"] or None,
        words=options["words"],
        pictures=options["backgrounds"] or None,
        rare=rare,
    )


def _warn(synthesizer: Synthesizer) -> None:
    if synthesizer.texts.is_made_up:
        click.echo(
            "note: sentences are words in a random order: `make texts` installs real ones", err=True
        )
    if not_drawn := synthesizer.texts.not_drawn:
        click.echo(
            f"note: {len(not_drawn)} characters of the alphabet are not drawn, for they join or "
            f"stand on others: {''.join(not_drawn[:20])}{'…' if len(not_drawn) > 20 else ''}",
            err=True,
        )
    missing = synthesizer.texts.without_font
    if missing:
        shown = "".join(missing[:20])
        click.echo(
            f"note: no font has {len(missing)} characters of the alphabet, which will not "
            f"appear: {shown}{'…' if len(missing) > 20 else ''} (`make fonts` installs more)",
            err=True,
        )


def _write(
    synthesizer: Synthesizer, out: Path, options: dict[str, Any], coverage: Coverage
) -> None:
    count = options["count"] or 1000
    kept = ("preset", "seed", "kind", "dev_share", "split", "min_count", "alphabet")
    info = {key: options[key] for key in kept}
    if options["min_count"]:
        info["count"] = count  # the lifted characters depend on it
    for key in ("corpus", "fonts", "backgrounds"):
        info[key] = [str(path) for path in options[key]]
    info["words"] = str(options["words"]) if options["words"] else None
    prepare(out, info, synthesizer.alphabet)
    writer: Writer
    if options["kind"] == "images":
        writer = FolderWriter(out, synthesizer.alphabet, options["dev_share"])
    else:
        writer = LmdbWriter(out, options["dev_share"])
    workers = available_cpus() if options["workers"] is None else options["workers"]
    done = writer.count()
    for index in range(min(done, count) if options["coverage"] else 0):
        coverage.add(synthesizer.text(index))
    chunks = encoded_chunks(synthesizer, done, count, workers)
    try:
        with click.progressbar(length=count, label=str(out), width=0) as bar:
            bar.update(min(done, count))
            for lines in chunks:
                writer.write(lines)
                for line in lines:
                    coverage.add(line.text)
                bar.update(len(lines))
                done += len(lines)
    except (CrnnError, KeyboardInterrupt):
        click.echo(
            f"{writer.count()} of {count} lines are in {out}; the same command goes on", err=True
        )
        raise
    finally:
        chunks.close()
        writer.close()
    click.echo(f"{max(done, count)} lines in {out}")


if __name__ == "__main__":
    main()
