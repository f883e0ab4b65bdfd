"""Synthetic pages whose lines are known: what stands where, and what it says.

>>> from crnn.synth.page import PageSynthesizer
>>> page = PageSynthesizer(seed=0).page(7)  # doctest: +SKIP
>>> page.image.shape, page.lines[0].text, page.lines[0].polygon  # doctest: +SKIP
"""

from crnn.synth.page.engine import PageSample, PageSynthesizer
from crnn.synth.page.sheet import PageText

__all__ = ["PageSample", "PageSynthesizer", "PageText"]
