"""Gradio's page: its looks, and calm about what no browser of a visitor's sends."""

import logging
from pathlib import Path
from typing import Any

import gradio as gr

STYLE = Path(__file__).parent / "style.css"
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
_MONO = ["ui-monospace", "SF Mono", "Menlo", "DejaVu Sans Mono", "monospace"]
_LOG = logging.getLogger(__name__)
_LONGEST = 200  # characters of a reason: it may hold all that was sent


class Blocks(gr.Blocks):
    """A page that refuses malformed calls in one line."""

    async def preprocess_data(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 (Gradio's)
        """Passes on a visitor's input, checked by Gradio; no code of this project runs in here.

        Raises:
            gr.Error: it is not what the page sends.
        """
        try:
            return await super().preprocess_data(*given, **named)
        except Exception as error:  # of whatever kind Gradio raises
            reason = str(error).partition("\n")[0][:_LONGEST]
            _LOG.warning("refused a malformed call: %r", reason)
            raise gr.Error("This is not what the page sends.", print_exception=False) from error


def theme() -> gr.themes.Base:
    """Colours and the system's own fonts: a page that loads nothing from elsewhere."""
    return gr.themes.Base(
        primary_hue="teal",
        neutral_hue="slate",
        radius_size="lg",
        font=_FONTS,
        font_mono=_MONO,
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_500",
        block_shadow="none",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="white",
    )
