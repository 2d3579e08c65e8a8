"""Draw what is around the animals: background, things in front, light and noise.

Nothing here knows which animal is shown.
"""

import math
import random

import numpy as np
from PIL import Image, ImageDraw

from tfpipe.data.demo.pen import (
    DARK,
    WHITE,
    Colour,
    Pen,
    any_colour,
    jitter,
    mix,
    to_rgb,
)

_GRASS: Colour = (112, 156, 78)


def draw_background(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """Draw a wall or a meadow, with shapes that ears and eyes could be mistaken for."""
    width, height = size
    wall = any_colour(rng)
    canvas = Image.new("RGB", size, to_rgb(wall))
    draw = ImageDraw.Draw(canvas)
    detail = to_rgb(mix(wall, any_colour(rng), rng.uniform(0.2, 0.7)))
    kind = rng.choice(("plain", "stripes", "dots", "triangles", "hills", "things"))
    step = round(min(size) * rng.uniform(0.12, 0.3))
    if kind == "stripes":
        lean = rng.randint(-step, step)
        for x in range(-step, width + step, 2 * step):
            draw.polygon(
                [x, 0, x + step, 0, x + step + lean, height, x + lean, height],
                fill=detail,
            )
    elif kind in ("dots", "triangles"):
        half = step * rng.uniform(0.25, 0.45)
        for row, y in enumerate(range(0, height + step, step)):
            for x in range(row % 2 * step // 2, width + step, step):
                if kind == "dots":
                    draw.ellipse([x - half, y - half, x + half, y + half], fill=detail)
                else:
                    draw.polygon([x - half, y, x + half, y, x, y - 2 * half], detail)
    elif kind == "hills":
        for _ in range(3):
            top, left = height * rng.uniform(0.4, 0.8), width * rng.uniform(-0.4, 0.7)
            right = left + width * rng.uniform(0.6, 1.4)
            fill = to_rgb(mix(wall, any_colour(rng), 0.5))
            draw.ellipse([left, top, right, top + height], fill=fill)
    elif kind == "things":
        for _ in range(rng.randint(3, 7)):
            place = (rng.uniform(0, width), rng.uniform(0, height))
            pen = Pen(canvas, place, step, rng.uniform(0, math.tau))
            if rng.random() < 0.5:
                pen.shape([(-0.7, 0.6), (0, -0.9), (0.7, 0.6)], any_colour(rng), cuts=1)
            else:
                pen.ellipse((0, 0), (0.5, rng.uniform(0.4, 1)), any_colour(rng))
    if rng.random() < 0.4:
        floor = height * rng.uniform(0.6, 0.85)
        draw.rectangle([0, floor, width, height], fill=to_rgb(any_colour(rng)))
    return canvas


def draw_foreground(rng: random.Random, canvas: Image.Image) -> None:
    """Hide a part of the animal behind a ball, a ledge or grass."""
    width, height = canvas.size
    unit, colour = min(canvas.size), any_colour(rng)
    kind = rng.choice(("ball", "ledge", "grass"))
    if kind == "ball":
        place = (width * rng.uniform(0.1, 0.9), height * rng.uniform(0.7, 0.95))
        pen = Pen(canvas, place, unit * rng.uniform(0.1, 0.18), rng.uniform(-1, 1))
        pen.ellipse((0, 0), (1, 1), colour, mix(colour, DARK, 0.5))
        pen.line([(-0.95, 0), (0, 0.4), (0.95, 0)], WHITE, 0.2)
    elif kind == "ledge":
        top = height * rng.uniform(0.74, 0.9)
        draw = ImageDraw.Draw(canvas)
        draw.rectangle([0, top, width, height], fill=to_rgb(colour))
        shade = to_rgb(mix(colour, DARK, 0.4))
        draw.rectangle([0, top, width, top + unit * 0.03], fill=shade)
    else:
        for _ in range(14):
            pen = Pen(canvas, (rng.uniform(0, width), height), unit * 0.3)
            lean, tall = rng.uniform(-0.3, 0.3), rng.uniform(-1, -0.4)
            blade = jitter(rng, _GRASS, 26)
            pen.shape([(-0.12, 0.1), (lean, tall), (0.12, 0.1)], blade, cuts=1)


def light_scene(rng: random.Random, image: Image.Image) -> Image.Image:
    """Light a picture from one side and add a camera's noise."""
    width, height = image.size
    angle, contrast = rng.uniform(0, math.tau), rng.uniform(0, 0.3)
    x = np.linspace(-math.cos(angle), math.cos(angle), width)
    y = np.linspace(-math.sin(angle), math.sin(angle), height)
    light = rng.uniform(0.75, 1.1) * (1 + contrast * (x + y[:, None]) / 2)
    tint = [rng.uniform(0.93, 1.07) for _ in range(3)]
    # Bytes of Python's generator: numpy doesn't promise equal noise in all versions.
    count = width * height
    noise = np.frombuffer(rng.randbytes(2 * count), np.uint8).reshape(2, height, width)
    grain = (noise[0].astype(float) - noise[1]) * rng.uniform(0.01, 0.05)
    pixels = np.asarray(image) * light[..., None] * tint + grain[..., None]
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))
