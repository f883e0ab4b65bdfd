"""Checks that only an NVIDIA GPU can make: ``python -m tools.gpu.check``.

`pieces` says what is there, `suites` runs tests, `first` takes the first five measurements,
`models` compares models and times them, `report` writes the page.
"""
