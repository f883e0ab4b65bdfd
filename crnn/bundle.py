"""A training run packed into one file, for a machine that has little and is there for minutes.

The bundle holds code, recipe, alphabet, fonts reduced to the alphabet, texts, word lists
and, where the run has begun, its last checkpoint, else the weights that it begins
with. It needs no installation but that of the libraries in its ``requirements.txt``.
"""

import dataclasses
import io
import logging
import lzma
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from fontTools import subset
from fontTools.ttLib import TTCollection, TTFont

from crnn.checkpoints import load_checkpoint, save_checkpoint
from crnn.synth import PRESETS, Synthesizer
from crnn.synth.fonts.faces import HAN, Face
from crnn.synth.text.corpus import find_texts, text_files
from crnn.synth.text.lines import PROSE
from crnn.synth.text.words import LANGUAGES, read_languages, shipped_counts
from crnn.training.config import TrainConfig
from crnn.training.config.data import BUNDLED
from crnn.training.config.optimisation import INIT
from crnn.training.report.reporter import LOG
from crnn.training.state import BEST, LAST, demand_same
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.model_file import kind_of
from crnn_runtime.readers import find_model

logger = logging.getLogger(__name__)

LIMIT = 40_000_000
"""Bytes that a bundle may have."""

_PACKAGES = {"crnn": "crnn", "crnn_runtime": "runtime", "crnn_export": "export"}
_REQUIREMENTS = {
    "click": "click", "fonttools": "fontTools", "numpy": "numpy", "opencv-python-headless": "cv2",
    "pillow": "PIL", "rapidfuzz": "rapidfuzz", "torch": "torch", "torchvision": "torchvision",
    "tqdm": "tqdm",
}  # fmt: skip
"""Package → what is imported of it."""
_START = f"""#!/bin/sh
# Trains, or goes on where it stopped. Options are those of crnn-train.
cd "$(dirname "$0")" || exit
python3 -c 'import sys; from importlib.util import find_spec
gone = [name for name in "{" ".join(_REQUIREMENTS.values())}".split() if find_spec(name) is None]
sys.exit("missing: " + ", ".join(gone) + ": pip install -r requirements.txt" if gone else 0)
' || exit 2
PYTHONPATH="code${{PYTHONPATH:+:$PYTHONPATH}}" exec python3 -m crnn.cli.train \\
    --recipe recipe.toml --directory run "$@"
"""
_SYNTH = "synth:"
_OF_THE_MACHINE = {
    *("directory", "resume", "init", "init_alphabet", "fresh", "gpu", "threads", "workers"),
}
_FITTED = "".join(map(chr, range(0x20, 0x7F)))  # FreeType fits all glyphs to heights of letters
_TEXT_PACKED = 3  # times that text becomes smaller, at least
_ROOM = 1_500_000  # bytes left for code, words and the alphabet


def pack(config: TrainConfig, out: Path, *, limit: int = LIMIT) -> int:
    """Write the bundle of a run on synthetic lines.

    Until the fonts fit, weights of Chinese families are left out, the most numerous
    first, then whole families, the largest of the kind that has most; every kind keeps one.

    Args:
        config: the run; its directory may hold a checkpoint, which goes along.
        out: a file, named ``….tar.xz``.
        limit: bytes that it may have.

    Returns:
        Its size in bytes.

    Raises:
        CrnnError: the run needs files that a bundle cannot hold, or it would be too large.
    """
    if not out.name.endswith(".tar.xz"):
        raise CrnnError(f"{out}: a bundle is a .tar.xz file: name it so")
    if config.resume is not None:
        raise CrnnError("a bundle goes on from the last.pth of --directory: leave out --resume")
    with tempfile.TemporaryDirectory() as folder:
        return _pack(config, _weights(config, Path(folder)), out, limit)


def _pack(config: TrainConfig, weights: Mapping[str, Path], out: Path, limit: int) -> int:
    if (last := weights.get(f"run/{LAST}")) is not None:
        demand_same(load_checkpoint(last), config, str(last))
    presets = _presets(config)
    faces = _faces(config, presets)
    text = {*"".join(config.alphabet), "·"}  # plates draw a dot that is not read
    room = limit - _ROOM - sum(path.stat().st_size for path in weights.values())
    room -= sum(path.stat().st_size for path in _texts(config)) // _TEXT_PACKED
    fonts = _fitting(faces, text, room)

    def write(part: Path) -> None:
        with tarfile.open(part, "w:xz", preset=9) as tar:
            for name, data in _contents(config, fonts, weights):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                entry.mode = 0o755 if name == "train.sh" else 0o644
                tar.addfile(entry, io.BytesIO(data))
        if (size := part.stat().st_size) > limit:
            raise CrnnError(
                f"the bundle would have {size / 1e6:.1f} MB of {limit / 1e6:.0f}: "
                "give fewer fonts (synth_options.fonts of the recipe)"
            )

    write_atomically(out, write)
    return out.stat().st_size


def _presets(config: TrainConfig) -> list[str]:
    named = [*(name for name, _ in config.mix), *config.validate_on]
    if "pictures" in config.synth_options:
        raise CrnnError("a bundle holds no pictures: leave them out of synth_options")
    if config.dataset_root or config.unlabelled or not all(n.startswith(_SYNTH) for n in named):
        raise CrnnError("a bundle holds no pictures: it is for runs on synthetic lines alone")
    assert config.synth is not None, "TrainConfig demands one of them"
    return [config.synth, *(name.removeprefix(_SYNTH) for name in named)]


def _faces(config: TrainConfig, presets: Iterable[str]) -> list[Face]:
    """Every face that a preset of the run may draw, once."""
    faces: dict[Face, None] = {}
    for preset in presets:
        synthesizer = Synthesizer(preset, alphabet=config.alphabet, **config.synth_sources())
        faces.update(dict.fromkeys(synthesizer.fonts.faces))
    return list(faces)


def _fitting(faces: Iterable[Face], text: set[str], room: int) -> dict[str, bytes]:
    """File name → font, as many as there is room for."""
    families: dict[str, list[tuple[str, bytes, int]]] = {}
    chinese: dict[str, str] = {}  # family → kind
    for number, face in enumerate({(face.path, face.index): face for face in faces}.values()):
        data = reduce_font(face, text)
        name = f"{number:03d}-{Path(face.path).stem}.{'otf' if data[:4] == b'OTTO' else 'ttf'}"
        packed = len(lzma.compress(data, preset=1))
        families.setdefault(face.family, []).append((name, data, packed))
        if face.covers(HAN):
            chinese[face.family] = face.kind
    left_out = []
    while sum(packed for family in families.values() for _, _, packed in family) > room:
        widest = max(chinese, key=lambda family: len(families[family]), default=None)
        if widest is not None and len(families[widest]) > 1:
            left_out.append(families[widest].pop(len(families[widest]) // 2)[0])
            continue
        kinds = Counter(chinese.values())
        largest = max(
            chinese, key=lambda family: (kinds[chinese[family]], families[family][0][2]), default=""
        )
        if not largest or kinds[chinese.pop(largest)] < 2:
            raise CrnnError(
                f"the fonts do not fit into {room / 1e6:.0f} MB: give fewer "
                "(fonts under synth_options of the recipe)"
            )
        left_out += [name for name, _, _ in families.pop(largest)]
    if left_out:
        logger.warning("left out for size: %s", ", ".join(left_out))
    return {name: data for family in families.values() for name, data, _ in family}


def reduce_font(face: Face, text: Iterable[str]) -> bytes:
    """The font file of a face with the glyphs of ``text`` and ASCII, its names and axes kept.

    Its glyphs are the same to the pixel.
    """
    options = subset.Options(
        layout_features=["kern"], hinting=True, name_IDs=["*"], notdef_outline=True,
        drop_tables=["BASE", "VORG", "vhea", "vmtx", "DSIG", "EBDT", "EBLC", "EBSC", "SVG "],
    )  # fmt: skip
    collection = TTCollection(face.path) if Path(face.path).suffix.lower() == ".ttc" else None
    font = collection.fonts[face.index] if collection else TTFont(face.path)
    try:
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=map(ord, {*text, *_FITTED}))
        subsetter.subset(font)
        written = io.BytesIO()
        font.save(written)
        return written.getvalue()
    finally:
        (collection or font).close()


def _contents(
    config: TrainConfig, fonts: Mapping[str, bytes], weights: Mapping[str, Path]
) -> Iterable[tuple[str, bytes]]:
    root = Path(__file__).parent
    for package, folder in _PACKAGES.items():
        # Installed, the packages lie side by side; in a checkout their folders have other names.
        found = next(p for p in (root.parent / package, root.parent / folder) if p.is_dir())
        for path in sorted(found.rglob("*")):
            if path.suffix in (".py", ".toml", ".txt", ".typed"):
                yield f"code/{package}/{path.relative_to(found)}", path.read_bytes()
    yield "train.sh", _START.encode()
    yield "requirements.txt", "".join(f"{name}\n" for name in _REQUIREMENTS).encode()
    yield "alphabet.txt", config.alphabet.to_text().encode()
    yield "recipe.toml", _recipe(config, weights).encode()
    for number, path in enumerate(_texts(config)):
        yield f"texts/{number:03}.txt", path.read_bytes()
    for language in LANGUAGES:
        yield f"words/{language}.txt", _words(config, language).encode()
    for name, data in fonts.items():
        yield f"fonts/{name}", data
    for name, path in weights.items():
        yield name, path.read_bytes()


def _texts(config: TrainConfig) -> list[Path]:
    """The files that sentences are cut out of, where a preset of the run does so."""
    if all(PROSE.isdisjoint(PRESETS[preset].text) for preset in _presets(config)):
        return []
    given = config.synth_options.get("corpus")
    several = [given] if isinstance(given, str) else given
    return text_files(find_texts(None if several is None else [*map(Path, several)]))


def _words(config: TrainConfig, language: str) -> str:
    """A word list as `crnn.synth` reads it."""
    given = config.synth_options.get("words")
    counts = shipped_counts(language) if given is None else read_languages(Path(given))[language]
    fit = [f"{word} {count:.3g}\n" for word, count in counts if config.alphabet.has(word)]
    return "".join(fit) or f"{config.alphabet.characters[0]} 1\n"  # none fits: digits, say


def _recipe(config: TrainConfig, weights: Iterable[str]) -> str:
    """The run as a recipe whose files are those of the bundle."""
    options: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value is not None and value != field.default and field.name not in _OF_THE_MACHINE:
            options[field.name] = value
    options["alphabet"] = "alphabet.txt"
    options |= {Path(name).stem: name for name in weights if "/" not in name}
    options["mix"] = [f"{name}={share}" for name, share in config.mix]
    corpus = "texts" if _texts(config) else "words"
    options["synth_options"] = {**config.synth_options, **BUNDLED, "corpus": corpus}
    return tomli_w.dumps(options)


def _weights(config: TrainConfig, folder: Path) -> dict[str, Path]:
    """Returns the weights that a run reads, by their names in the bundle: checkpoints and log,
    `init`, the teacher.

    Args:
        config: the run.
        folder: for what is converted.
    """
    files: dict[str, Path] = {}
    last = config.directory / LAST
    begun = last.is_file() and not config.fresh
    if begun:
        kept = (last, config.directory / BEST, config.directory / LOG)
        files |= {f"run/{path.name}": path for path in kept if path.is_file()}
    if config.teacher not in (None, INIT):
        teacher = _portable(find_model(config.teacher), None, folder / "teacher.pth")
        if begun and teacher.parent == folder:
            raise CrnnError(
                f"the run has begun with the teacher {config.teacher}, of which a bundle takes no "
                "other form: start over with --fresh"
            )
        files[f"teacher{teacher.suffix}"] = teacher
    if config.init is not None and (not begun or config.blend or config.teacher == INIT):
        start = _portable(find_model(config.init), config.init_alphabet, folder / "init.pth")
        files[f"init{start.suffix}"] = start
    return files


def _portable(path: Path, alphabet: str | None, target: Path) -> Path:
    """Weights that PyTorch alone can read: the file itself, or a checkpoint made of it.

    An ONNX file needs ONNX Runtime, and its dictionary may lie beside it.
    """
    if kind_of(path) == "checkpoint" and alphabet is None:
        return path
    checkpoint = load_checkpoint(path, alphabet=alphabet)
    if checkpoint.card is None:
        raise CrnnError(
            f"{path} does not say its alphabet: give its dictionary with --init-alphabet"
        )
    save_checkpoint(target, checkpoint.build(), checkpoint.card)
    return target
