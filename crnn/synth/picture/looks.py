"""The looks that presets are made of, from clean scans to bank cards."""

from crnn.synth.picture.look import NEVER, Camera, Chance, Frame, Ink, Look, Setting, Surface

PLAIN = Look()
"""Black on white, a little spaced: what looks are made from."""

CHINESE_STRINGS = Look(
    frame=Frame(
        height=(32, 32), width=280, crop=(0.0, 0.22), sides=(0.0, 0.2),
        tight=Chance(0.3, low=-0.03, high=0.04),
    ),
    setting=Setting(
        em=28, stretch=(0.9, 1.2), spacing=Chance(0.35, low=0.0, high=0.14), latin_face=0.3,
    ),
    ink=Ink(weight=Chance(0.3, low=-0.4, high=0.9)),
    surface=Surface(
        palette="grey", grey=1.0, backgrounds={"plain": 1, "stone": 3, "paper": 2, "brushed": 0.5},
        texture=(2, 14), gradient=Chance(0.3, low=5, high=30),
    ),
    camera=Camera(
        rotate=Chance(0.5, low=-1.2, high=1.2), shear=Chance(0.2, low=-0.15, high=0.15),
        perspective=Chance(0.4, low=0.02, high=0.14), curve=Chance(0.1, low=0.05, high=0.15),
        blur=Chance(0.75, low=0.4, high=1.3), noise=Chance(0.4, low=1, high=6),
        jpeg=Chance(0.65, low=5, high=45),
    ),
)  # fmt: skip

SCAN = Look(
    frame=Frame(
        height=(32, 56), crop=(-0.02, 0.22), sides=(0.0, 0.35),
        tight=Chance(0.45, low=-0.03, high=0.04), neighbours=Chance(0.2, low=0.04, high=0.35),
        underline=Chance(0.03, low=0.03, high=0.06), rules=Chance(0.03, low=0.03, high=0.06),
    ),
    setting=Setting(
        em=40, stretch=(0.92, 1.08), spacing=Chance(0.25, low=-0.02, high=0.12),
        word_space=Chance(0.45, low=-0.11, high=0.6), gap=Chance(0.03, low=0.5, high=3.0),
        spread=Chance(0.15, low=0.2, high=1.5), latin_face=0.7,
    ),
    ink=Ink(
        weight=Chance(0.5, low=-0.4, high=0.8), fade=Chance(0.15, low=0.15, high=0.6),
        bleed=Chance(0.25, low=0.5, high=1.1),
    ),
    surface=Surface(
        grey=0.7, backgrounds={"plain": 3, "paper": 4, "stone": 1}, texture=(2, 16),
        gradient=Chance(0.25, low=5, high=40),
    ),
    camera=Camera(
        rotate=Chance(0.4, low=-0.8, high=0.8), curve=Chance(0.1, low=0.03, high=0.15),
        blur=Chance(0.6, low=0.3, high=1.1), lowres=Chance(0.2, low=1.1, high=1.9),
        noise=Chance(0.4, low=1, high=9), salt=Chance(0.05, low=0.0005, high=0.004),
        jpeg=Chance(0.6, low=5, high=60),
    ),
)  # fmt: skip

BILEVEL = SCAN.but(
    height=(40, 72), weight=Chance(0.6, low=-0.4, high=0.9), bleed=Chance(0.35, low=0.5, high=0.9),
    grey=1.0, blur=Chance(0.5, low=0.3, high=0.8), lowres=NEVER, jpeg=Chance(0.1, low=5, high=30),
    binarise=Chance(1.0, low=2, high=20),
)  # fmt: skip

CLEAN = Look(
    frame=Frame(height=(32, 56), crop=(0.0, 0.3), tight=Chance(0.3, low=-0.03, high=0.04)),
    setting=Setting(em=40, latin_face=0.7),
    ink=Ink(weight=Chance(0.2, low=-0.3, high=0.4)),
    camera=Camera(lowres=Chance(0.15, low=1.1, high=1.6), jpeg=Chance(0.5, low=5, high=30)),
)  # fmt: skip

RECEIPT = Look(
    frame=Frame(
        height=(32, 44), crop=(-0.05, 0.2), sides=(0.0, 0.3),
        tight=Chance(0.4, low=-0.03, high=0.04), neighbours=Chance(0.25, low=0.04, high=0.4),
        underline=Chance(0.02, low=0.03, high=0.06), rules=Chance(0.02, low=0.03, high=0.05),
    ),
    setting=Setting(
        em=32, stretch=(0.6, 1.25), spacing=Chance(0.4, low=-0.05, high=0.25),
        word_space=Chance(0.4, low=-0.1, high=0.8), gap=Chance(0.08, low=0.6, high=4.0),
        spread=Chance(0.1, low=0.2, high=1.0), latin_face=0.3,
    ),
    ink=Ink(
        weight=Chance(0.5, low=-0.5, high=1.0), fade=Chance(0.4, low=0.15, high=0.6),
        bleed=Chance(0.3, low=0.5, high=1.2),
    ),
    surface=Surface(
        palette="thermal", grey=0.5, backgrounds={"plain": 2, "paper": 3, "stone": 2, "brushed": 1},
        texture=(2, 18), gradient=Chance(0.4, low=10, high=60),
    ),
    camera=Camera(
        rotate=Chance(0.5, low=-1.5, high=1.5), curve=Chance(0.15, low=0.05, high=0.25),
        elastic=Chance(0.1, low=0.3, high=0.9), blur=Chance(0.6, low=0.4, high=1.5),
        lowres=Chance(0.5, low=1.2, high=2.2), noise=Chance(0.4, low=1, high=10),
        salt=Chance(0.03, low=0.0005, high=0.003), jpeg=Chance(0.8, low=10, high=72),
    ),
)  # fmt: skip

NEEDLES = RECEIPT.but(
    em=48, stretch=(0.7, 1.1), weight=NEVER, dots=Chance(1.0, low=0.062, high=0.084),
    fade=Chance(0.3, low=0.1, high=0.4), bleed=NEVER, blur=Chance(0.5, low=0.4, high=1.0),
    lowres=Chance(0.3, low=1.1, high=1.5),
)  # fmt: skip

TYPEWRITTEN = SCAN.but(
    crop=(-0.03, 0.2), neighbours=Chance(0.55, low=0.05, high=0.5), rules=NEVER, em=44,
    stretch=(0.85, 1.15), spacing=Chance(0.5, low=-0.03, high=0.12), word_space=NEVER,
    gap=Chance(0.02, low=0.5, high=2.0), wander=Chance(0.6, low=0.006, high=0.035),
    weight=Chance(0.6, low=-0.5, high=1.0), pressure=Chance(0.7, low=0.15, high=0.65),
    fade=Chance(0.35, low=0.15, high=0.5), bleed=Chance(0.45, low=0.5, high=1.2), grey=0.8,
    lowres=Chance(0.35, low=1.1, high=2.0), jpeg=Chance(0.7, low=5, high=60),
)  # fmt: skip

TYPED_BILEVEL = TYPEWRITTEN.but(
    height=(36, 64), pressure=Chance(0.5, low=0.1, high=0.4), fade=Chance(0.2, low=0.15, high=0.4),
    grey=1.0, lowres=NEVER, jpeg=Chance(0.1, low=5, high=30), binarise=Chance(1.0, low=2, high=20),
)  # fmt: skip

TYPED_NEEDLES = NEEDLES.but(
    neighbours=Chance(0.4, low=0.05, high=0.5), spacing=Chance(0.3, low=0.0, high=0.15),
    dots=Chance(1.0, low=0.06, high=0.1), pressure=Chance(0.5, low=0.1, high=0.5),
    fade=Chance(0.5, low=0.1, high=0.6), palette="print",
)  # fmt: skip

SCENE = Look(
    frame=Frame(
        height=(32, 64), crop=(-0.04, 0.3), sides=(0.0, 0.5),
        tight=Chance(0.45, low=-0.03, high=0.04), neighbours=Chance(0.12, low=0.04, high=0.35),
        underline=Chance(0.02, low=0.04, high=0.08), rules=Chance(0.02, low=0.03, high=0.08),
    ),
    setting=Setting(
        em=40, stretch=(0.7, 1.3), spacing=Chance(0.5, low=-0.03, high=0.4),
        word_space=Chance(0.3, low=-0.05, high=0.8), gap=Chance(0.03, low=0.5, high=2.0),
        spread=Chance(0.25, low=0.2, high=1.6), wander=Chance(0.04, low=0.01, high=0.04),
    ),
    ink=Ink(
        weight=Chance(0.3, low=-0.4, high=1.0), outline=Chance(0.12, low=1, high=2),
        shadow=Chance(0.15, low=1, high=2.5), fade=Chance(0.04, low=0.15, high=0.4),
        bleed=Chance(0.05, low=0.5, high=1.0),
    ),
    surface=Surface(
        palette="sign", grey=0.08,
        backgrounds={"plain": 4, "clutter": 4, "stone": 2, "brushed": 1, "fabric": 1, "paper": 1},
        texture=(3, 40), gradient=Chance(0.4, low=10, high=70),
    ),
    camera=Camera(
        rotate=Chance(0.5, low=-5, high=5), shear=Chance(0.3, low=-0.3, high=0.3),
        perspective=Chance(0.5, low=0.03, high=0.3), curve=Chance(0.15, low=0.05, high=0.4),
        elastic=Chance(0.1, low=0.3, high=1.0), blur=Chance(0.6, low=0.4, high=1.5),
        motion=Chance(0.05, low=2, high=3), lowres=Chance(0.35, low=1.1, high=2.0),
        noise=Chance(0.4, low=1, high=10), jpeg=Chance(0.8, low=10, high=68),
    ),
)  # fmt: skip

# What detectors cut out of good photographs: flat grounds, little else.
PACKAGING = SCENE.but(
    crop=(-0.02, 0.16), sides=(0.0, 0.2), underline=NEVER, rules=NEVER, stretch=(0.85, 1.15),
    outline=Chance(0.04, low=1, high=2), fade=NEVER, bleed=NEVER, grey=0.15,
    backgrounds={"plain": 6, "stone": 1, "paper": 1}, texture=(1, 10),
    gradient=Chance(0.3, low=5, high=30), rotate=Chance(0.4, low=-2, high=2),
    shear=Chance(0.15, low=-0.15, high=0.15), perspective=Chance(0.3, low=0.02, high=0.12),
    curve=Chance(0.08, low=0.03, high=0.15), elastic=NEVER, motion=NEVER,
    lowres=Chance(0.35, low=1.1, high=1.8), noise=Chance(0.3, low=1, high=5),
    jpeg=Chance(0.8, low=10, high=55),
)  # fmt: skip

SCREEN = Look(
    frame=Frame(
        height=(20, 34), crop=(0.05, 0.35), sides=(0.05, 0.5),
        tight=Chance(0.4, low=-0.03, high=0.04), neighbours=Chance(0.05, low=0.05, high=0.2),
        underline=Chance(0.04, low=0.04, high=0.07), rules=Chance(0.05, low=0.03, high=0.06),
    ),
    setting=Setting(
        em=18, stretch=(1.0, 1.0), spacing=Chance(0.15, low=0.0, high=0.08),
        gap=Chance(0.03, low=0.5, high=3.0), spread=Chance(0.08, low=0.2, high=1.5),
    ),
    ink=Ink(aliased=0.25),
    surface=Surface(palette="screen", gradient=Chance(0.05, low=5, high=30)),
    camera=Camera(
        blur=Chance(0.1, low=0.3, high=0.6), lowres=Chance(0.2, low=1.1, high=1.6),
        jpeg=Chance(0.5, low=5, high=65),
    ),
)  # fmt: skip

DISPLAYED = SCREEN.but(
    height=(32, 48), em=36, aliased=0.0,
)  # fmt: skip

# Sizes are those of the standard for plates, GA 36: cells of 45 x 90 mm, 12 mm apart, on
# 440 x 140 mm. Its letters are nobody's font: 0 and 1 look like O and I, which it lacks.
PLATE = Look(
    frame=Frame(
        height=(22, 36), crop=(0.05, 0.26), sides=(0.02, 0.22),
        panel=Chance(0.9, low=0.02, high=0.3), border=Chance(0.75, low=0.025, high=0.06),
    ),
    setting=Setting(
        em=40, stretch=(0.95, 1.35), spacing=Chance(1.0, low=0.06, high=0.14),
        cells=Chance(0.85, low=0.42, high=0.58), latin_face=0.9, stand_ins={"0": "O", "1": "I"},
        silent_dot=2,
    ),
    ink=Ink(
        weight=Chance(0.8, low=-0.2, high=1.2), shadow=Chance(0.1, low=1, high=1.5),
        fade=Chance(0.1, low=0.15, high=0.4),
    ),
    surface=Surface(
        palette="plate", backgrounds={"plain": 3, "stone": 2, "brushed": 1, "clutter": 1},
        texture=(2, 14), gradient=Chance(0.5, low=10, high=70),
    ),
    camera=Camera(
        rotate=Chance(0.8, low=-5, high=5), shear=Chance(0.6, low=-0.3, high=0.3),
        perspective=Chance(0.5, low=0.03, high=0.15), blur=Chance(0.6, low=0.3, high=0.8),
        motion=Chance(0.07, low=1.5, high=3), lowres=Chance(0.3, low=1.1, high=1.4),
        noise=Chance(0.5, low=1, high=6), jpeg=Chance(0.7, low=10, high=55),
    ),
)  # fmt: skip

DIGITS = Look(
    frame=Frame(crop=(-0.02, 0.3), sides=(0.0, 0.5), rules=Chance(0.08, low=0.03, high=0.08)),
    setting=Setting(stretch=(0.75, 1.25), spacing=Chance(0.5, low=-0.04, high=0.3)),
    ink=Ink(
        weight=Chance(0.3, low=-0.4, high=0.9), shadow=Chance(0.05, low=1, high=2),
        fade=Chance(0.08, low=0.2, high=0.6), bleed=Chance(0.1, low=0.5, high=1.0),
    ),
    surface=Surface(
        palette="mixed", grey=0.4,
        backgrounds={"plain": 4, "paper": 2, "stone": 2, "clutter": 1, "brushed": 1},
        texture=(2, 25), gradient=Chance(0.3, low=10, high=60),
    ),
    camera=Camera(
        rotate=Chance(0.5, low=-3, high=3), shear=Chance(0.3, low=-0.2, high=0.2),
        perspective=Chance(0.2, low=0.02, high=0.15), blur=Chance(0.6, low=0.3, high=1.3),
        lowres=Chance(0.2, low=1.2, high=2.2), noise=Chance(0.5, low=1, high=12),
        jpeg=Chance(0.4, low=5, high=60),
    ),
)  # fmt: skip

DOTTED_DIGITS = DIGITS.but(
    em=48, weight=NEVER, dots=Chance(1.0, low=0.062, high=0.1), fade=NEVER, bleed=NEVER,
)  # fmt: skip

CARD = DIGITS.but(
    height=(28, 48), crop=(-0.02, 0.22), sides=(0.0, 0.3), tight=Chance(0.4, low=-0.03, high=0.04),
    neighbours=Chance(0.1, low=0.04, high=0.3), rules=NEVER, spacing=Chance(0.6, low=0.0, high=0.3),
    gap=Chance(0.5, low=0.4, high=1.6), weight=Chance(0.6, low=-0.3, high=1.2),
    outline=Chance(0.05, low=1, high=1.5), emboss=Chance(0.75, low=65, high=170),
    fade=Chance(0.1, low=0.2, high=0.5), bleed=NEVER, palette="card", grey=0.15,
    backgrounds={"plain": 3, "clutter": 4, "stone": 2, "brushed": 2, "fabric": 1}, texture=(4, 40),
    gradient=Chance(0.5, low=10, high=70), noise=Chance(0.4, low=1, high=8),
)  # fmt: skip

DISPLAY = DIGITS.but(
    tight=Chance(0.4, low=-0.03, high=0.04), rules=Chance(0.05, low=0.03, high=0.08),
    spacing=Chance(0.4, low=0.0, high=0.2), ghost=Chance(0.4, low=0.05, high=0.3), fade=NEVER,
    bleed=Chance(0.2, low=0.5, high=1.2), palette="led", grey=0.1,
    backgrounds={"plain": 5, "stone": 1, "brushed": 1}, texture=(1, 12),
    shear=Chance(0.4, low=-0.15, high=0.2), blur=Chance(0.7, low=0.4, high=1.6),
)  # fmt: skip

LOOKS: dict[str, Look] = {
    "plain": PLAIN, "chinese-strings": CHINESE_STRINGS, "scan": SCAN, "bilevel": BILEVEL,
    "clean": CLEAN, "receipt": RECEIPT, "needles": NEEDLES, "typewritten": TYPEWRITTEN,
    "typed-bilevel": TYPED_BILEVEL, "typed-needles": TYPED_NEEDLES, "scene": SCENE,
    "packaging": PACKAGING, "screen": SCREEN, "displayed": DISPLAYED, "plate": PLATE,
    "digits": DIGITS, "dotted-digits": DOTTED_DIGITS, "card": CARD, "display": DISPLAY,
    **{
        f"screen-{em}": SCREEN.but(em=em, height=(em + 6, em + 16))
        for em in (12, 13, 14, 16, 18, 21, 24)
    },
}  # fmt: skip
"""Every look by its name."""
