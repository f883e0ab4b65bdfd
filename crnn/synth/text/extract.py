"""``python -m crnn.synth.text.extract PACKAGES OUT``: sentences out of unpacked packages.

``PACKAGES`` has a folder for each package, as `install-texts.sh` unpacks them. ``OUT``
gets ``zh/PACKAGE.txt`` and ``en/PACKAGE.txt``, a block of text a line, each once, and
``licences/PACKAGE``, the package's own statement.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from crnn.synth.text.documents import read_document, read_messages
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically

_LONGEST = 300  # characters; longer blocks are cut at the ends of sentences
_ENDS = re.compile(r"(?<=[。！？；])|(?<=[.!?])\s+(?=[A-Z\"“(])")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_WIDE = r"[\u3000-\u9fff\uff00-\uffef]"
_OTHER_SCRIPT = re.compile(r"[\u0370-\u1fff\u3040-\u30ff\uac00-\ud7af\ue000-\uf8ff\x00-\x08]")
_CHINESE = re.compile(r"zh([-_]?(cn|hans))?\b|chinese|/(tang300|song100)$", re.I)
_TRADITIONAL = re.compile(r"zh[-_]?(tw|hk|hant)", re.I)
_OTHER = re.compile(r"/(?!en\b)[a-z]{2,3}([-_@][A-Za-z]{2,})?/", re.I)
_DOCUMENTS = (".html", ".xhtml", ".page")


def extract(packages: Path, out: Path) -> dict[str, int]:
    """Write the texts of every package below ``packages``.

    Returns:
        File below ``out`` → its number of lines.

    Raises:
        CrnnError: no package has a text, or ``out`` is not writable.
    """
    found: dict[str, int] = {}
    seen: set[str] = set()
    for package in sorted(path for path in packages.iterdir() if path.is_dir()):
        lines: dict[str, list[str]] = {"zh": [], "en": []}
        # What is English in a translation is code and names.
        wanted = (
            ("zh",)
            if "zh" in package.name.split("-") and "l10n" not in package.name
            else ("zh", "en")
        )
        for block in _blocks(package):
            for text in pieces(block):
                language = language_of(text)
                if language is None or language not in wanted or text in seen:
                    continue
                seen.add(text)
                lines[language].append(text)
        for language, texts in lines.items():
            if texts:
                name = f"{language}/{package.name}.txt"
                _write(out / name, "\n".join(texts) + "\n")
                found[name] = len(texts)
        for notice in package.glob("usr/share/doc/*/copyright"):
            _write(out / "licences" / package.name, notice.read_text("utf-8", "replace"))
    if not found:
        raise CrnnError(f"{packages} has no package with text: see install-texts.sh")
    return found


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: part.write_text(text, "utf-8"))


def _blocks(package: Path) -> Iterator[str]:
    """The blocks of a package's Chinese and English documents."""
    for path in sorted(package.rglob("*")):
        name = str(path.relative_to(package))
        if not path.is_file() or path.is_symlink() or _TRADITIONAL.search(name):
            continue
        if path.suffix == ".mo" and _CHINESE.search(name):
            for pair in read_messages(path):
                yield from pair
        elif _is_document(path, name):
            yield from read_document(path)


def _is_document(path: Path, name: str) -> bool:
    if "/fortunes/" in name:
        return not path.suffix and not name.endswith("-o")
    if path.suffix in _DOCUMENTS:
        return bool(_CHINESE.search(name)) or not _OTHER.search(name.replace("usr/share/", ""))
    return "/man/zh_CN/" in name


def pieces(block: str) -> Iterator[str]:
    """A block as lines of at most some 300 characters, with white space made single."""
    text = re.sub(
        r"(?<=[\u3000-\u9fff\uff00-\uffef])\s*\n\s*(?=[\u3000-\u9fff\uff00-\uffef])", "", block
    )
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        yield text
        return
    piece = ""
    for sentence in _ENDS.split(text):
        if piece and len(piece) + len(sentence) > _LONGEST:
            yield piece
            piece = ""
        piece = f"{piece} {sentence}" if piece and piece[-1].isascii() else piece + sentence
    yield piece


def language_of(text: str) -> str | None:
    """``zh`` or ``en``; None for what is neither, or is no text."""
    if _OTHER_SCRIPT.search(text) or len(text) < 2:
        return None
    han = len(_HAN.findall(text))
    letters = han + sum(character.isascii() and character.isalpha() for character in text)
    if letters < 0.6 * len(text.replace(" ", "")):
        return None
    if han:
        return "zh" if han >= 2 and han >= 0.2 * len(text) else None
    return "en" if re.search(r"[a-z]{3}", text) and not re.search(r"\S{40}", text) else None


def main(arguments: Iterable[str]) -> None:
    """Extract, and say what came of it."""
    packages, out = map(Path, arguments)
    found = extract(packages, out)
    for language in ("zh", "en"):
        names = [name for name in found if name.startswith(language)]
        size = sum((out / name).stat().st_size for name in names)
        lines = sum(found[name] for name in names)
        sys.stdout.write(f"{out / language}: {lines} lines, {size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
