"""Running text, Chinese and English: from the corpus if there is one, else made of words."""

import random
import re

from crnn.synth.text.words import Lexicon

_ZH_STOPS = "，，，，，，。。。、、；：？！…"
_CLAUSES = re.compile(f"[^{_ZH_STOPS}]+[{_ZH_STOPS}]?")
_ZH_PAIRS = tuple(map(tuple, ("“”", "“”", "《》", "（）", "‘’", "【】", "()", '""')))

_TYPEWRITTEN = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "--", "…": "..."}
)
_HYPHENATED = 0.06
_EN_PAIRS = tuple(map(tuple, ("()", '""', "''", "[]", "()")))


def _zh_prose(rng: random.Random, lexicon: Lexicon, length: int) -> str:
    """At least ``length`` characters of sentences made of words drawn by frequency."""
    parts: list[str] = []
    total, clause = 0, rng.randint(0, 8)
    while total < length:
        kind = rng.random()
        if kind < 0.9:
            part = lexicon.zh(rng)
        elif kind < 0.95:
            part = _figure(rng)
        elif kind < 0.985:
            opening, closing = rng.choice(_ZH_PAIRS)
            part = opening + lexicon.zh(rng) + rng.choice(("", lexicon.zh(rng))) + closing
        else:
            word = lexicon.en(rng)
            part = rng.choice((word, word.upper(), word.capitalize()))
        clause += len(part)
        if clause > 5 and rng.random() < 0.3:
            part += rng.choice(_ZH_STOPS)
            clause = 0
        parts.append(part)
        total += len(part)
    return "".join(parts)


def _figure(rng: random.Random) -> str:
    return rng.choice((
        lambda: f"{rng.randint(1, 99)}", lambda: f"{rng.randint(1900, 2030)}年",
        lambda: f"{rng.uniform(0, 100):.{rng.randint(1, 2)}f}%", lambda: f"第{rng.randint(1, 30)}",
        lambda: f"{rng.randint(1, 12)}月{rng.randint(1, 28)}日",
        lambda: f"{rng.uniform(1, 500):.1f}{rng.choice(('亿', '万', '万元', '米', '岁'))}",
    ))()  # fmt: skip


def zh_cut(rng: random.Random, lexicon: Lexicon, length: int) -> str:
    """Some ``length`` characters from anywhere in running text, not from inside a Latin word."""
    if lexicon.corpus is None:
        return zh_window(rng, lexicon, length)
    line = lexicon.corpus.line(rng, "zh")
    start = rng.randint(0, max(0, len(line) - length))
    end = start + length
    while start and _in_word(line, start):
        start -= 1
    while end < len(line) and _in_word(line, end):
        end += 1
    return line[start:end].strip()


def _in_word(line: str, place: int) -> bool:
    """True if a Latin word goes on across ``place``."""
    around = line[place - 1 : place + 1]
    return around.isascii() and " " not in around


def _en_cut(rng: random.Random, lexicon: Lexicon, length: int) -> str:
    """About ``length`` characters of running text that begin and end at a word's bounds."""
    if lexicon.corpus is None:
        return _en_prose(rng, lexicon, length)
    line = lexicon.corpus.line(rng, "en")
    if not lexicon.allows("’"):
        line = line.translate(_TYPEWRITTEN)
    start = rng.randint(0, max(0, len(line) - length))
    start = line.rfind(" ", 0, start + 1) + 1
    end = line.find(" ", start + length) if start + length < len(line) else len(line)
    text = line[start:end] if end > 0 else line[start:]
    if rng.random() < _HYPHENATED and len(word := text.rsplit(" ", 1)[-1]) > 6 and word.isalpha():
        text = text[: -rng.randint(3, len(word) - 3)] + "-"
    return text


def zh_window(rng: random.Random, lexicon: Lexicon, length: int = 10) -> str:
    """Ten characters cut out of running text, as the original's lines are."""
    if lexicon.corpus is None:
        offset = rng.randint(0, 3)
        return _zh_prose(rng, lexicon, length + offset)[offset : offset + length]
    line = lexicon.corpus.line(rng, "zh")
    start = rng.randint(0, max(0, len(line) - length))
    return line[start : start + length].strip()


def zh_running(rng: random.Random, lexicon: Lexicon) -> str:
    """A printed line: 8 to 36 characters cut out of running text."""
    return zh_cut(rng, lexicon, rng.randint(8, 36))


def zh_phrase(rng: random.Random, lexicon: Lexicon) -> str:
    """A clause of 2 to 14 characters that starts at a word."""
    if lexicon.corpus is not None:
        line = lexicon.corpus.line(rng, "zh", short=rng.random() < 0.5)
        return _clause(rng, line, rng.randint(2, 14))
    text, length = lexicon.zh(rng), rng.randint(2, 14)
    while len(text) < length:
        text += lexicon.zh(rng)
    return text + rng.choice(("", "", "", "。", "，", "！", "：", "；", "？"))


def _clause(rng: random.Random, line: str, length: int) -> str:
    """A clause of ``line`` with the mark after it or without, cut to ``length`` characters."""
    clauses = [clause for clause in _CLAUSES.findall(line) if not clause.isspace()]
    clause = rng.choice(clauses).strip() if clauses else line
    if clause[-1] in _ZH_STOPS and rng.random() < 0.5:
        clause = clause[:-1]
    return clause[:length]


def _en_prose(rng: random.Random, lexicon: Lexicon, length: int) -> str:
    """About ``length`` characters of words with the punctuation of prose."""
    words: list[str] = []
    total, start = 0, rng.random() < 0.4
    while total < length:
        word = lexicon.en(rng)
        if start or rng.random() < 0.06:
            word = word.capitalize()
        start = False
        kind = rng.random()
        if kind < 0.03:
            word = _en_figure(rng)
        elif kind < 0.06:
            opening, closing = rng.choice(_EN_PAIRS)
            word = opening + word + closing
        elif kind < 0.08:
            word = f"{word}-{lexicon.en(rng)}"
        elif kind < 0.09:
            word = word.upper()
        elif kind < 0.17:
            word += ","
        elif kind < 0.23:
            word += rng.choice("....?!")
            start = True
        elif kind < 0.245:
            word += rng.choice(";:")
        words.append(word)
        total += len(word) + 1
    text = " ".join(words)
    if rng.random() < 0.08 and text[-1].isalpha():
        text = text[: -len(words[-1]) // 2] + "-" if len(words[-1]) > 6 else text
    return text.rstrip()


def _en_figure(rng: random.Random) -> str:
    return rng.choice((
        lambda: f"[{rng.randint(1, 120)}]", lambda: f"({rng.randint(1900, 2025)})",
        lambda: f"{rng.randint(1, 9999)}", lambda: f"{rng.uniform(0, 100):.{rng.randint(1, 3)}f}",
        lambda: f"{rng.randint(1, 99)}%", lambda: f"${rng.randint(1, 999)}",
        lambda: f"{rng.choice('ABCDEFGHJKLMNPRSTVW')}.",
    ))()  # fmt: skip


def en_running(rng: random.Random, lexicon: Lexicon) -> str:
    """A printed line of 25 to 70 characters."""
    return _en_cut(rng, lexicon, rng.randint(25, 70))


def en_phrase(rng: random.Random, lexicon: Lexicon) -> str:
    """One to about six words of prose."""
    length = rng.randint(2, 30)
    if lexicon.corpus is not None and rng.random() < 0.4:  # a caption, a menu's item
        text = lexicon.corpus.line(rng, "en", short=True)
        if len(text) <= length + 10:
            return text
    return _en_cut(rng, lexicon, length)
