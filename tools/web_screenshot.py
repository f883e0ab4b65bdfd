"""A picture of the page that ``crnn-web`` serves, for the README.

``python -m tools.web_screenshot --reader zh --picture line.png``

It starts the page on a free port, gives it the picture as a visitor would, and takes
the screenshot with Playwright and an installed Chromium.
"""

import io
from pathlib import Path

import click

from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically
from crnn_serve.web.local_server import served

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
_WAIT = 60_000  # milliseconds for a reading


@click.command(cls=Command)
@click.option("--reader", default="digits", show_default=True, help="Name or model file.")
@click.option("--compare", help="Second reader.")
@click.option(
    "--picture", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("examples/lines/9580510029.png"), show_default=True,
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("docs/web/screenshot.png"),
    show_default=True,
)  # fmt: skip
@click.option("--width", type=click.IntRange(320), default=1280, show_default=True)
@click.option("--height", type=click.IntRange(320), help="[default: of the whole page]")
@click.option("--dark", is_flag=True, help="As those see it who prefer dark pages.")
@click.option("--chromium", default="/usr/bin/chromium", show_default=True)
def main(
    reader: str,
    compare: str | None,
    picture: Path,
    out: Path,
    width: int,
    height: int | None,
    dark: bool,
    chromium: str,
) -> None:
    """Take a picture of the page with a line that was read."""
    try:
        from PIL import Image  # noqa: PLC0415
        from playwright.sync_api import sync_playwright  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CrnnError(f"{error.name} is not installed: pip install playwright pillow") from error
    readers = ["--reader", reader] + (["--reader", compare] if compare else [])
    with served(*readers) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        page = browser.new_page(
            viewport={"width": width, "height": height or 900},
            color_scheme="dark" if dark else "light",
        )
        page.goto(server.address)
        page.set_input_files("#cw-image input[type=file]", picture)
        page.wait_for_selector(".cw-card", timeout=_WAIT)
        if compare:
            page.get_by_label("Compare with").click()
            page.get_by_role("option", name=Path(compare).stem, exact=True).click()
            page.wait_for_selector(".cw-card >> nth=1", timeout=_WAIT)
        page.mouse.move(0, 0)
        page.wait_for_timeout(600)  # for what fades
        shot = page.screenshot(full_page=height is None)
        browser.close()
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    write_atomically(out, lambda part: image.save(part, "PNG", optimize=True))
    click.echo(f"{out}: {image.width} x {image.height}, {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
