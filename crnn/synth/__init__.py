"""Synthetic lines of text: text source, layout, rendering, degradation.

>>> from crnn.synth import Synthesizer
>>> sample = Synthesizer(preset="digits", seed=0).line(7)  # doctest: +SKIP
>>> sample.image.shape, sample.text  # doctest: +SKIP
"""

from crnn.synth.engine import Sample, Synthesizer
from crnn.synth.presets import PRESETS, Preset

__all__ = ["PRESETS", "Preset", "Sample", "Synthesizer"]
