"""One picture in every colour type that a format has, transparent or not."""

import io
import itertools
from functools import cache

import numpy as np
from PIL import Image

INK = np.zeros((24, 60), bool)
"""The ink of the pictures: three bars on a ground of which there is more."""
INK[4:20, 6:12] = INK[4:20, 24:30] = INK[4:20, 42:48] = True
_LOSSLESS = {"WEBP": {"lossless": True}}
_PACKED = ("raw", "tiff_lzw", "packbits", "tiff_adobe_deflate")


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **_LOSSLESS.get(kind, {}), **options)
    return buffer.getvalue()


def flat(value: int) -> Image.Image:
    """One grey level all over."""
    return Image.new("L", INK.shape[::-1], value)


@cache
def opaque_images() -> dict[str, bytes]:
    """Kind → dark ink on a light ground."""
    grey = Image.fromarray(np.where(INK, 20, 235).astype(np.uint8))
    rgb = grey.convert("RGB")
    full = flat(255)
    made = {
        "deep.png": encode(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "PNG"),
        "deep.tiff": encode(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "TIFF"),
        "cmyk.jpg": encode(rgb.convert("CMYK"), "JPEG", quality=95),
        "cmyk.tiff": encode(rgb.convert("CMYK"), "TIFF"),
        "ycbcr.tiff": encode(rgb.convert("YCbCr"), "TIFF"),
        "jpeg.tiff": encode(rgb, "TIFF", compression="jpeg"),
        "fax.tiff": encode(grey.convert("1"), "TIFF", compression="group4"),
        "white-is-zero.tiff": encode(grey.convert("1"), "TIFF", tiffinfo={262: 0}),
        "two-pages.tiff": encode(grey, "TIFF", save_all=True, append_images=[flat(0)]),
        "frames.gif": encode(grey, "GIF", save_all=True, append_images=[flat(0)]),
        "unused.bmp": encode(Image.merge("RGBA", (*rgb.split(), flat(0))), "BMP"),
    }
    for kind, mode in itertools.product(("PNG", "TIFF", "GIF", "BMP"), ("1", "L", "P", "RGB")):
        made[f"{mode}.{kind.lower()}"] = encode(grey.convert(mode), kind)
    for kind in ("PNG", "TIFF", "WEBP", "BMP"):
        made[f"RGBA.{kind.lower()}"] = encode(Image.merge("RGBA", (*rgb.split(), full)), kind)
    for kind in ("PNG", "TIFF", "WEBP"):
        made[f"LA.{kind.lower()}"] = encode(Image.merge("LA", (grey, full)), kind)
    return made


@cache
def transparent_images(level: int) -> dict[str, bytes]:
    """Kind → ink of one grey level on a transparent ground, which hides the same level."""
    ink, alpha = flat(level), Image.fromarray(np.where(INK, 255, 0).astype(np.uint8))
    rgba, grey = Image.merge("RGBA", (ink, ink, ink, alpha)), Image.merge("LA", (ink, alpha))
    bits = Image.fromarray(INK.astype(np.uint8)).convert("P")
    bits.putpalette([level] * 6 + [0] * 762)
    # One value means transparent: the ink has the next one to it.
    beside = level - 1 if level else 1
    keyed = Image.fromarray(np.where(INK, beside, level).astype(np.uint8))
    made = {
        "value.png": encode(keyed, "PNG", transparency=level),
        "color.png": encode(keyed.convert("RGB"), "PNG", transparency=(level,) * 3),
    }
    for kind in ("PNG", "TIFF", "WEBP", "BMP"):
        made[f"RGBA.{kind.lower()}"] = encode(rgba, kind)
    for kind in ("PNG", "WEBP"):
        made[f"LA.{kind.lower()}"] = encode(grey, kind)
    for packing, predictor in itertools.product(_PACKED, (1, 2)):
        options = {"compression": packing, "tiffinfo": {317: predictor}}
        made[f"LA-{packing}-{predictor}.tiff"] = encode(grey, "TIFF", **options)
    for kind in ("PNG", "GIF"):
        made[f"P.{kind.lower()}"] = encode(bits, kind, transparency=0)
    return made
