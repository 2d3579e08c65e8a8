"""Fill rounded shapes on a picture, in units of the thing drawn, and mix colours."""

import colorsys
import math
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[float, float, float]  # red, green, blue in [0, 255], clipped when drawn
Points = Sequence[tuple[float, float]]

DARK: Colour = (46, 36, 36)
WHITE: Colour = (250, 247, 240)

_ANGLES = np.linspace(0, math.tau, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


class Pen:
    """A pen whose units are `radius` pixels around `centre`, turned by `angle` radians.

    y points down. Edges are hard: draw large, then reduce.
    """

    def __init__(
        self,
        canvas: Image.Image,
        centre: tuple[float, float],
        radius: float,
        angle: float = 0.0,
    ) -> None:
        self._draw = ImageDraw.Draw(canvas)
        self._centre, self._radius = np.array(centre), radius
        self._turn = radius * _rotation(angle)

    def shape(
        self, points: Points, colour: Colour, edge: Colour | None = None, cuts: int = 2
    ) -> None:
        """Fill a closed outline, its corners rounded more with more `cuts`."""
        self._polygon(np.array(points), colour, edge, cuts)

    def ellipse(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        colour: Colour,
        edge: Colour | None = None,
        tilt: float = 0.0,
    ) -> None:
        """Fill an ellipse, turned by `tilt` radians."""
        points = _CIRCLE * radii @ _rotation(tilt).T + centre
        self._polygon(points, colour, edge, 0)

    def line(self, points: Points, colour: Colour, width: float = 0.05) -> None:
        """Draw an open line whose inner corners are rounded."""
        path = np.array(points)
        for _ in range(2):
            middle = _cut_corners(path)[:-2]
            path = np.concatenate([path[:1], middle, path[-1:]])
        self._stroke(path, colour, width)

    def _polygon(
        self,
        points: NDArray[np.float64],
        colour: Colour,
        edge: Colour | None,
        cuts: int,
    ) -> None:
        for _ in range(cuts):
            points = _cut_corners(points)
        pixels = (points @ self._turn.T + self._centre).ravel().tolist()
        self._draw.polygon(pixels, fill=to_rgb(colour))
        if edge is not None:
            self._stroke(np.concatenate([points, points[:2]]), edge, 0.045)

    def _stroke(
        self, points: NDArray[np.float64], colour: Colour, width: float
    ) -> None:
        pixels = (points @ self._turn.T + self._centre).ravel().tolist()
        thickness = max(1, round(width * self._radius))
        self._draw.line(pixels, fill=to_rgb(colour), width=thickness)


def any_colour(rng: random.Random) -> Colour:
    """Return a colour of any hue that is neither gaudy nor black."""
    red, green, blue = colorsys.hsv_to_rgb(
        rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.4, 0.95)
    )
    return 255 * red, 255 * green, 255 * blue


def jitter(rng: random.Random, colour: Colour, spread: float) -> Colour:
    """Return `colour` with each part moved by at most `spread`."""
    red, green, blue = (part + rng.uniform(-spread, spread) for part in colour)
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return `first` with `share` of it replaced by `second`."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def to_rgb(colour: Colour) -> tuple[int, int, int]:
    """Return `colour` as Pillow takes it: whole numbers from 0 to 255."""
    red, green, blue = (min(255, max(0, round(part))) for part in colour)
    return red, green, blue


def _rotation(angle: float) -> NDArray[np.float64]:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _cut_corners(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round a closed outline by one step of Chaikin's algorithm (1974)."""
    following = np.concatenate([points[1:], points[:1]])
    cut = np.empty((2 * len(points), 2))
    cut[0::2] = 0.75 * points + 0.25 * following
    cut[1::2] = 0.25 * points + 0.75 * following
    return cut
