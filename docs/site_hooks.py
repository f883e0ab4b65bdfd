"""Makes pages of files outside docs/ and of recorded reports, and keeps links right (MkDocs hooks).

The same Markdown is read in the repository and on the site. There a link may lead to any
file; here to pages only, so links to sources become their path, and must exist.
"""

import os.path
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from crnn_benchmarks.harness.schema import Report
from crnn_benchmarks.report.html import to_html

PAGES = {
    "benchmarks/README.md": "figures.md",
    "benchmarks/NOTES.md": "notes.md",
    "CHANGELOG.md": "changelog.md",
}
"""File of the repository → page of the site."""
REPORTS = {f"benchmarks/results/{name}.md": f"reports/{name}.html" for name in ("peers", "latency")}
"""Report in the repository → the same with its pictures, made of the JSON beside it."""

_LINK = re.compile(r"(?<!\!)\[(?P<text>[^\]\n]+)\]\((?P<target>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)")
_DOCS = "docs/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are kept elsewhere."""
    for source, page in PAGES.items():
        path = _root(config) / source
        files.append(File.generated(config, page, abs_src_path=str(path)))
    for source, page in REPORTS.items():
        report = Report.read((_root(config) / source).with_suffix(".json"))
        files.append(File.generated(config, page, content=to_html(report)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead each link to its page, or name the file that it leads to."""
    here = next((s for s, p in PAGES.items() if p == page.file.src_uri), _DOCS + page.file.src_uri)

    def mended(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link["target"]))
        own = target.removeprefix(_DOCS) if target.startswith(_DOCS) else ""
        name = (PAGES | REPORTS).get(target, own)
        if name and files.get_file_from_path(name):
            start = posixpath.dirname(page.file.src_uri)
            return f"[{link['text']}]({os.path.relpath(name, start or '.')}{link['anchor'] or ''})"
        if not (_root(config) / target).exists():
            raise PluginError(f"{here}: the link to {link['target']} leads nowhere")
        return link["text"] if f"`{target}`" in link["text"] else f"{link['text']} (`{target}`)"

    return _LINK.sub(mended, markdown)


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent
