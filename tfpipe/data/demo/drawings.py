"""Draw labelled pictures of cats and dogs: a data set without a download.

The classes differ in shape alone: ears, skull, muzzle, eyes, whiskers. Everything with
a colour (fur, markings, eyes, collar, background, light, noise) is drawn from the same
distributions for both, so that a model has to look at form.
"""

import io
import random

from PIL import Image

from tfpipe.base.seeds import derive_seed
from tfpipe.data.demo.pen import (
    DARK,
    WHITE,
    Colour,
    Pen,
    Points,
    any_colour,
    jitter,
    mix,
)
from tfpipe.data.demo.scenery import draw_background, draw_foreground, light_scene

CLASS_NAMES = ("cat", "dog")
VERSION = 1  # counts up when the same seed gives other pictures
JPEG_QUALITY = 90

_SUPERSAMPLING = 3  # drawn this much larger, then averaged: Pillow's edges are hard
_WIDEST_ASPECT = 1.25

_PINK: Colour = (232, 150, 150)
_FURS: tuple[Colour, ...] = (
    (216, 136, 62),  # ginger
    (232, 184, 112),  # golden
    (238, 218, 182),  # cream
    (240, 237, 230),  # white
    (150, 152, 158),  # grey
    (100, 112, 128),  # blue
    (66, 60, 62),  # black
    (112, 74, 50),  # chocolate
    (176, 128, 82),  # tan
)
_IRISES: tuple[Colour, ...] = (
    (226, 178, 58),  # amber
    (130, 176, 84),  # green
    (110, 168, 206),  # blue
    (150, 98, 52),  # hazel
)

# Right halves of closed outlines, from the top down, in units of the head's radius.
_CAT_SKULL = ((0.0, -0.86), (0.55, -0.84), (0.98, -0.36), (1.06, 0.12))
_CAT_CHEEK = ((1.28, 0.42), (0.9, 0.66), (0.42, 0.9), (0.0, 0.9))
_DOG_SKULL = ((0.0, -0.98), (0.58, -0.94), (0.88, -0.5), (0.88, 0.1))
_DOG_CHEEK = ((0.8, 0.5), (0.62, 0.86), (0.3, 1.04), (0.0, 1.04))
_CAT_EYE = ((-0.3, 0.0), (-0.14, -0.28), (0.18, -0.3), (0.34, -0.16), (0.12, 0.24))


def draw_jpeg(class_name: str, index: int, *, seed: int, image_size: int) -> bytes:
    """Return picture `index` of a class as JPEG bytes, quality 90, 4:4:4.

    The bytes depend on the arguments and Pillow's version alone.
    """
    image = draw_image(class_name, index, seed=seed, image_size=image_size)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4")
    return buffer.getvalue()


def draw_image(
    class_name: str, index: int, *, seed: int, image_size: int
) -> Image.Image:
    """Draw picture `index` of a class.

    Args:
        class_name: one of `CLASS_NAMES`.
        index: 0-based; each index is a picture of its own, whatever else is drawn.
        seed: the root seed of the set.
        image_size: pixels of the shorter side; the longer has up to 1.25 times more.

    Returns:
        An RGB image.

    Raises:
        ValueError: for another class name.
    """
    if class_name not in CLASS_NAMES:
        raise ValueError(
            f"class_name must be one of {', '.join(CLASS_NAMES)}, got {class_name!r}"
        )
    rng = random.Random(derive_seed(seed, "drawing", class_name, index))
    longer = round(image_size * rng.uniform(1, _WIDEST_ASPECT))
    size = (longer, image_size) if rng.random() < 0.6 else (image_size, longer)
    canvas = draw_background(rng, (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING))
    _Animal(rng, canvas, is_cat=class_name == "cat").draw()
    if rng.random() < 0.25:
        draw_foreground(rng, canvas)
    return light_scene(rng, canvas.reduce(_SUPERSAMPLING))


class _Animal:
    """One animal's looks, drawn from `rng`, and how to put them on a canvas."""

    def __init__(
        self, rng: random.Random, canvas: Image.Image, *, is_cat: bool
    ) -> None:
        self.rng, self.is_cat = rng, is_cat
        width, height = canvas.size
        radius = min(width, height) * rng.uniform(0.26, 0.36)
        centre = (width * rng.uniform(0.4, 0.6), height * rng.uniform(0.44, 0.56))
        self.pen = Pen(canvas, centre, radius, rng.gauss(0, 0.14))
        # Where the face looks: its features move as on a ball.
        self.look = (rng.uniform(-0.2, 0.2), rng.uniform(-0.08, 0.1))
        self.fur = jitter(rng, rng.choice(_FURS), 14)
        other = jitter(rng, rng.choice((*_FURS, WHITE, WHITE)), 10)
        self.marking = mix(self.fur, other, rng.uniform(0.4, 1))
        self.edge = mix(self.fur, DARK, 0.55)
        self.muzzle = mix(self.fur, WHITE, rng.uniform(0.35, 0.9))
        self.ear = rng.choice((self.fur, self.marking, mix(self.fur, DARK, 0.25)))
        self.iris = jitter(rng, rng.choice(_IRISES), 12)
        self.lid_grounds = {-1: self.fur, 1: self.fur}
        self.nose = rng.choice((DARK, DARK, (190, 104, 104)))

    def draw(self) -> None:
        """Draw from the back to the front."""
        self._draw_body()
        rng = self.rng
        # A few of either class carry their ears the other's way: ears alone don't tell.
        has_usual_ears = rng.random() < 0.94
        if self.is_cat:
            self._draw_pointed_ears() if has_usual_ears else self._draw_folded_ears()
            self._draw_skull(_CAT_SKULL, _CAT_CHEEK)
            self._draw_cat_face()
        else:
            if not has_usual_ears:
                self._draw_pointed_ears()
            self._draw_skull(_DOG_SKULL, _DOG_CHEEK)
            if has_usual_ears:
                self._draw_hanging_ears()
            self._draw_dog_face()

    def _at(self, x: float, y: float) -> tuple[float, float]:
        """Return a place on the face, moved by where it looks."""
        return x + self.look[0], y + self.look[1]

    def _draw_body(self) -> None:
        rng, pen = self.rng, self.pen
        coat = mix(self.fur, DARK, 0.12)
        pen.ellipse((0, 2.1), (rng.uniform(0.95, 1.3), 1.55), coat, self.edge)
        if rng.random() < 0.5:
            pen.ellipse((0, 1.7), (0.5, 0.8), self.muzzle)
        if rng.random() < 0.4:
            collar = any_colour(rng)
            pen.line([(-0.85, 0.8), (-0.4, 1.1), (0.4, 1.1), (0.85, 0.8)], collar, 0.2)
            pen.ellipse((0, 1.24), (0.15, 0.15), (236, 196, 84), DARK)

    def _draw_skull(self, skull: Points, cheek: Points) -> None:
        rng, pen = self.rng, self.pen
        wide, tall = rng.uniform(0.93, 1.07), rng.uniform(0.95, 1.05)
        half = [(x * wide, y * tall) for x, y in (*skull, *cheek)]
        outline = half + [(-x, y) for x, y in reversed(half[1:-1])]
        pen.shape(outline, self.fur, self.edge)
        kind = rng.choice(("plain", "blaze", "patch", "stripes", "mask"))
        if kind == "blaze":
            blaze = [(-0.1, -0.82), (0.1, -0.82), (0.24, 0.3), (-0.24, 0.3)]
            pen.shape([self._at(x, y) for x, y in blaze], self.muzzle)
        elif kind == "patch":
            side = rng.choice((-1, 1))
            pen.ellipse(self._at(side * 0.4, -0.14), (0.36, 0.42), self.marking)
            self.lid_grounds[side] = self.marking
        elif kind == "stripes":
            stripe = mix(self.fur, DARK, 0.4)
            for x in (-0.24, 0, 0.24):
                top, bottom = self._at(x * 1.2, -0.8), self._at(x, -0.42)
                pen.line([top, bottom], stripe, 0.1)
        elif kind == "mask":
            for side in (-1, 1):
                tilt = side * 0.5
                centre = self._at(side * 0.42, -0.2)
                pen.ellipse(centre, (0.3, 0.4), self.marking, tilt=tilt)
                self.lid_grounds[side] = self.marking

    def _draw_pointed_ears(self) -> None:
        rng, pen = self.rng, self.pen
        tip = (rng.uniform(0.68, 0.98), rng.uniform(-1.5, -1.25))
        inner = mix(self.fur, _PINK, 0.7)
        for side in (-1, 1):
            ear = [(0.1, -0.74), tip, tip, (1.02, -0.2), (0.5, -0.3)]
            pen.shape([(side * x, y) for x, y in ear], self.ear, self.edge)
            x, y = tip
            hollow = [(0.36, -0.76), (x * 0.98, y * 0.9), (0.88, -0.45), (0.5, -0.4)]
            pen.shape([(side * x, y) for x, y in hollow], inner, cuts=1)

    def _draw_folded_ears(self) -> None:
        for side in (-1, 1):
            ear = [(0.3, -0.8), (0.66, -1.05), (1.1, -0.72), (1.16, -0.3), (0.8, -0.5)]
            self.pen.shape([(side * x, y) for x, y in ear], self.ear, self.edge)

    def _draw_hanging_ears(self) -> None:
        rng, pen = self.rng, self.pen
        length, spread = rng.uniform(0.1, 0.75), rng.uniform(-0.1, 0.16)
        for side in (-1, 1):
            ear = [
                (0.5, -0.92),
                (0.86, -0.96),
                (1.22 + spread, -0.4),
                (1.34 + spread, length * 0.6),
                (1.1 + spread, length + 0.12),
                (0.86 + spread, length * 0.7),
                (0.76, -0.3),
            ]
            pen.shape([(side * x, y) for x, y in ear], self.ear, self.edge)

    def _draw_cat_face(self) -> None:
        rng, pen = self.rng, self.pen
        slit = rng.uniform(0.05, 0.09)
        asleep = rng.random() < 0.08
        for side in (-1, 1):
            x, y = self._at(side * 0.43, -0.04)
            if asleep:
                self._draw_closed_eye(side, x, y)
                continue
            eye = [(x + side * px, y + py) for px, py in _CAT_EYE]
            pen.shape(eye, self.iris, DARK)
            pen.ellipse((x, y - 0.05), (slit, 0.19), DARK)
            pen.ellipse((x + 0.07, y - 0.11), (0.05, 0.05), WHITE)
        for side in (-1, 1):
            pen.ellipse(self._at(side * 0.17, 0.5), (0.25, 0.2), self.muzzle)
        if rng.random() < 0.2:
            pen.ellipse(self._at(0, 0.67), (0.1, 0.13), (226, 110, 124))
        nose = [(-0.14, 0.28), (0.14, 0.28), (0.03, 0.44), (-0.03, 0.44)]
        pen.shape([self._at(x, y) for x, y in nose], self.nose, cuts=1)
        for side in (-1, 1):
            mouth = [(0, 0.42), (0, 0.6), (side * 0.2, 0.68), (side * 0.32, 0.56)]
            pen.line([self._at(x, y) for x, y in mouth], DARK, 0.05)
        whisker = mix(self.fur, _ink_on(self.fur), 0.8)
        droop = rng.uniform(-0.1, 0.16)
        for side in (-1, 1):
            for row in (-1, 0, 1):
                start = self._at(side * 0.34, 0.48 + row * 0.07)
                end = self._at(side * 1.38, 0.42 + row * 0.22 + droop)
                bend = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 0.06)
                pen.line([start, bend, end], whisker, 0.035)

    def _draw_dog_face(self) -> None:
        rng, pen = self.rng, self.pen
        asleep = rng.random() < 0.08
        for side in (-1, 1):
            x, y = self._at(side * 0.4, -0.24)
            if asleep:
                self._draw_closed_eye(side, x, y)
                continue
            pen.ellipse((x, y), (0.19, 0.2), self.iris, DARK)
            pen.ellipse((x, y + 0.01), (0.125, 0.135), DARK)
            pen.ellipse((x + 0.07, y - 0.07), (0.055, 0.055), WHITE)
        # A snout stands out of the face: it moves twice as far as the eyes.
        x, y = 2 * self.look[0], 2 * self.look[1]
        length = rng.uniform(0.42, 0.54)
        if rng.random() < 0.45:
            tongue = [(-0.17, 0.7), (0.17, 0.7), (0.2, 1.2), (0, 1.32), (-0.2, 1.2)]
            shown = [(x + px, y + py) for px, py in tongue]
            pen.shape(shown, (226, 110, 124), (160, 64, 80))
        snout = self.muzzle
        pen.ellipse((x, y + 0.52), (0.5, length), snout, mix(snout, DARK, 0.35))
        pen.ellipse((x, y + 0.26), (0.24, 0.17), self.nose)
        pen.ellipse((x - 0.07, y + 0.2), (0.07, 0.04), mix(self.nose, WHITE, 0.6))
        for side in (-1, 1):
            mouth = [(0, 0.4), (0, 0.7), (side * 0.22, 0.82), (side * 0.38, 0.66)]
            pen.line([(x + px, y + py) for px, py in mouth], DARK, 0.055)

    def _draw_closed_eye(self, side: int, x: float, y: float) -> None:
        lid = [(x - 0.2, y - 0.12), (x - 0.1, y + 0.04), (x + 0.1, y + 0.04)]
        self.pen.line(
            [*lid, (x + 0.2, y - 0.12)], _ink_on(self.lid_grounds[side]), 0.07
        )


def _ink_on(ground: Colour) -> Colour:
    """Return a colour for lines that shows on `ground`, be it black or white."""
    return DARK if sum(ground) > 300 else mix(ground, WHITE, 0.6)
