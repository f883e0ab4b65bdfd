"""Sentences out of documents as distributions carry them."""

import gzip
from pathlib import Path

import pytest

from crnn.synth.text.documents import read_document, read_html, read_messages
from crnn.synth.text.extract import extract, language_of, main, pieces
from crnn_runtime.errors import CrnnError

PAGE = """<html><head><title>代理</title><style>p {x: y}</style></head><body>
<header><p>menu</p></header>
<p>选择「<span hidden="true" class="MAC">偏好</span><span hidden="true" id="d">工具</span>」
   并按 <b>确定</b>。<br/>完毕</p><pre>code();</pre><ul><li>One &amp; <i>two</i></li><li></li></ul>
</body></html>"""

MAN = r""".\" a comment
.TH LS 1 2022
.SH 名称
ls \- 列出目录内容
.PP
与 \fB\-l\fP 同时
使用
.BR chmod (1)
.nf
literal
.fi
.TP
a \(lqb\(rq \n(x
"""


def mo(path: Path, messages: dict[str, str]) -> None:
    """Write a catalogue as `msgfmt` does."""
    import struct

    messages = {"": "Content-Type: text/plain; charset=UTF-8\n", **messages}
    keys = sorted(messages)
    blobs = [[key.encode() for key in keys], [messages[key].encode() for key in keys]]
    start = 28 + 16 * len(keys)
    tables, data = b"", b""
    for column in blobs:
        for blob in column:
            tables += struct.pack("<2I", len(blob), start + len(data))
            data += blob + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(keys), 28, 28 + 8 * len(keys), 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + tables + data)


def test_pages_give_their_paragraphs_without_code_menus_and_hidden_words() -> None:
    blocks = [next(pieces(block)) for block in read_html(PAGE)]
    assert blocks == ["代理", "选择「工具」并按 确定。 完毕", "One & two"]


def test_manual_pages_give_their_paragraphs_without_markup(tmp_path: Path) -> None:
    path = tmp_path / "ls.1.gz"
    path.write_bytes(gzip.compress(MAN.encode()))
    blocks = [next(pieces(block)) for block in read_document(path)]
    assert blocks == ["名称", "ls - 列出目录内容", "与 -l 同时使用 chmod(1)"]


def test_poems_give_lines_and_quotations_paragraphs(tmp_path: Path) -> None:
    path = tmp_path / "tang"
    path.write_text(
        "\x1b[32m《春晓》\x1b[m\n春眠不觉晓，\n处处闻啼鸟。\n%\nIt was\nlate.\n\t\t-- Me\n%\n",
        "utf-8",
    )
    blocks = [" ".join(block.split()) for block in read_document(path) if block.strip()]
    assert blocks == ["《春晓》", "春眠不觉晓，", "处处闻啼鸟。", "It was late.", "-- Me"]


def test_messages_lose_the_marks_of_menus_and_those_with_holes_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.mo"
    mo(
        path,
        {
            "_File": "文件(_F)",
            "menu\x04Open ~all": "打开全部(~A)",
            "%d files": "%d 个文件",
            "a <b>": "甲",
        },
    )
    assert sorted(read_messages(path)) == [("File", "文件"), ("Open all", "打开全部")]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("今天是 Debian 的生日", "zh"), ("A proper sentence.", "en"), ("東京タワーへ", None),
        ("Привет, мир", None), ("{}[]--==;", None), ("see 图 in the long English text", None),
        ("x" * 80, None), ("7 + 5", None),
    ],
)  # fmt: skip
def test_the_language_of_a_text_is_told(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_long_blocks_are_cut_at_the_ends_of_sentences() -> None:
    sentences = [f"第{number}句话说明这个程序的用法。" for number in range(60)]
    found = list(pieces("".join(sentences)))
    assert "".join(found) == "".join(sentences)
    assert all(piece.endswith("。") and len(piece) <= 300 for piece in found)


def test_packages_become_a_folder_of_texts_each_line_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packages, out = tmp_path / "packages", tmp_path / "out"
    docs = packages / "manual" / "usr/share/doc/manual"
    for name, text in {
        "en/a.html": "<p>Some English text.</p><p>Some English text.</p>",
        "fr/a.html": "<p>Un texte en langue</p>",
        "zh_CN/a.html": "<p>一段中文文字。</p>",
        "zh_TW/a.html": "<p>一段文字</p>",
        "copyright": "GPL-2+",
    }.items():
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text(text, "utf-8")
    mo(packages / "app/usr/share/locale/zh_CN/LC_MESSAGES/app.mo", {"Hello there": "你们好啊"})
    mo(packages / "app/usr/share/locale/de/LC_MESSAGES/app.mo", {"Bye now": "Bis bald"})
    main([str(packages), str(out)])
    texts = {str(path.relative_to(out)): path.read_text("utf-8") for path in out.rglob("*.txt")}
    assert texts == {
        "zh/manual.txt": "一段中文文字。\n", "en/manual.txt": "Some English text.\n",
        "zh/app.txt": "你们好啊\n", "en/app.txt": "Hello there\n",
    }  # fmt: skip
    assert (out / "licences" / "manual").read_text() == "GPL-2+"
    assert "2 lines" in capsys.readouterr().out
    with pytest.raises(CrnnError):
        extract(docs / "fr", out)
