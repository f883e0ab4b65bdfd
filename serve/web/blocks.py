"""Gradio's page, calm about what no browser of a visitor's sends."""

import logging
from typing import Any

import gradio as gr

_LOG = logging.getLogger(__name__)
_LONGEST = 200  # characters of a reason: it may hold all that was sent


class Blocks(gr.Blocks):
    """A page that refuses malformed calls in one line."""

    async def preprocess_data(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 (Gradio's)
        """What a visitor sent, checked by Gradio; no code of this project runs in here.

        Raises:
            gr.Error: it is not what the page sends.
        """
        try:
            return await super().preprocess_data(*given, **named)
        except Exception as error:  # of whatever kind Gradio raises
            reason = str(error).partition("\n")[0][:_LONGEST]
            _LOG.warning("refused a malformed call: %r", reason)
            raise gr.Error("This is not what the page sends.", print_exception=False) from error
