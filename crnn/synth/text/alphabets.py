"""The rule that the shipped alphabets are built by.

``python -m crnn.synth.text.alphabets`` writes ``runtime/model/alphabets/*.txt`` anew. The
rule of ``zh``, 5,989 characters, which is as many as readers of the 5,990-class
family have, so that speed and size compare:

1. the space and printable ASCII (95);
2. `PUNCTUATION`: Chinese punctuation, and full-width forms and signs that
   printed Chinese really uses (no full-width letters and digits: a reader
   cannot tell them from wide-set ASCII);
3. GB 2312 level 1: the 3,755 characters that the standard calls frequent;
4. `NAMES`: characters outside GB 2312 that today's names and web texts use;
5. GB 2312 level 2 in the order of usage in wordfreq's Chinese list (ties by
   code point) until there are 5,989.

Entries are in the order of their code points.
"""

import logging
import string
from collections import defaultdict
from functools import partial
from pathlib import Path

import crnn_runtime
from crnn_runtime.files import write_atomically
from crnn_runtime.model.alphabet import Alphabet

logger = logging.getLogger(__name__)

SIZE = 5989

ASCII = " " + "".join(map(chr, range(0x21, 0x7F)))

PUNCTUATION = (
    "，。、；：？！“”‘’（）【】《》〈〉「」『』〔〕［］｛｝—…·～￥％＋－＝／＜＞｜＆＊＃＠＄＿＂＇．"
    "–•●○■□◆◇▲△▼▽★☆※→←↑↓√×÷±≤≥≠≈∞∶°℃‰′″§©®™№¥£€"
    "①②③④⑤⑥⑦⑧⑨⑩ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩαβγδθλμπσφωΔΣΩ²³㎡㎏㎜㎝"
)

NAMES = "〇囧镕祎玥璟瑄赟珺堃喆旻琇昉珮翀晞璘昇瑀颋芃"


def gb2312(level: int) -> list[str]:
    """The characters of a level of GB 2312, 1 (3,755) or 2 (3,008), in the standard's order."""
    rows = range(0xB0, 0xD8) if level == 1 else range(0xD8, 0xF8)
    cells = [bytes((row, cell)) for row in rows for cell in range(0xA1, 0xFF)]
    # Level 1 ends five cells before its last row does.
    return [text for cell in cells if (text := cell.decode("gb2312", "ignore"))]


def usage() -> dict[str, float]:
    """Returns the frequency of each character in Chinese text, from wordfreq's word list."""
    import wordfreq  # noqa: PLC0415 - of the extra "synth"

    counts: dict[str, float] = defaultdict(float)
    for word, frequency in wordfreq.get_frequency_dict("zh").items():
        for character in word:
            counts[character] += frequency
    return counts


def build_zh() -> Alphabet:
    """The alphabet ``zh``, by the rule above."""
    counts = usage()
    fixed = {*ASCII, *PUNCTUATION, *NAMES, *gb2312(1)}
    rare = sorted({*gb2312(2)} - fixed, key=lambda character: (-counts[character], character))
    return Alphabet(sorted(fixed | {*rare[: SIZE - len(fixed)]}))


def main() -> None:
    """Write every shipped alphabet."""
    folder = Path(crnn_runtime.__file__).parent / "model" / "alphabets"
    built = {"zh": build_zh(), "latin": Alphabet(ASCII), "digits": Alphabet(string.digits)}
    for name, alphabet in built.items():
        content = alphabet.to_text().encode()
        write_atomically(folder / f"{name}.txt", partial(Path.write_bytes, data=content))
        logger.warning("%s: %d characters, %s", name, len(alphabet), alphabet.sha256[:12])


if __name__ == "__main__":
    main()
