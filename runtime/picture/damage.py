"""Which picture a decoder complained about, though many are loaded ahead."""

import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.load import ImageSource, read_bytes
from crnn_runtime.picture.messages import DecoderMessages
from crnn_runtime.picture.preprocess import load_line


class DamageWatch:
    """Loads images for `Recognizer.stream` and remembers what decoders wrote about each.

    They write without a name to the standard error of the process, so images are
    decoded one at a time; files are read and pixels scaled side by side all the same.
    """

    def __init__(self, messages: DecoderMessages) -> None:
        self._messages = messages
        self._alone = threading.Lock()
        self._found: dict[str, str] = {}

    def load(self, source: ImageSource, card: ModelCard) -> tuple[NDArray[np.uint8], int]:
        """See `crnn_runtime.picture.preprocess.load_line`."""
        data = read_bytes(Path(source)) if isinstance(source, str) else source
        with self._alone:
            try:
                return load_line(data, card)
            finally:
                message = self._messages.take()
                if message and isinstance(source, str):
                    self._found[source] = message

    def take(self, path: str) -> str:
        """What was written about an image, empty if nothing was; it is then forgotten."""
        return self._found.pop(path, "")
