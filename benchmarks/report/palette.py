"""Colours of pages and pictures, on a light ground and on a dark one."""

INK = "#1b1b1b"
PAPER = "#ffffff"
MUTED = "#5a5f66"
RULE = "#d3d6da"
WASH = "#f1f2f4"
MARKED = "#fff1d6"
SERIES = (
    "#1f77b4", "#d95f02", "#2ca02c", "#d62728", "#9467bd",
    "#8c564b", "#c2519f", "#7f7f7f", "#8f9018", "#0f93a3",
)  # fmt: skip
"""Colours that tell things in a picture apart."""

DARK = {
    INK: "#e8e8e8", PAPER: "#15171a", MUTED: "#a8adb4", RULE: "#3c4148", WASH: "#24282d",
    MARKED: "#4a3a17",
} | dict(zip(SERIES, (
    "#6cb4ee", "#ffa24d", "#62c962", "#f47a7b", "#bd9ce0",
    "#c99a8d", "#ee9ed3", "#b5b5b5", "#d4d55a", "#4fd3e2",
), strict=True))  # fmt: skip
"""Colour on a light ground → the same on a dark one."""

ON_DARK = "@media (prefers-color-scheme: dark) {{ {} }}".format(
    " ".join(
        f'[style*="{what}: {light}"] {{ {what}: {dark} !important }}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
)
"""Rules that turn the pictures dark on a dark machine: they override their own colours, so that a
program which knows none of this shows them light.
"""
