"""python benchmarks/resize_filters.py --image_dir=YOUR_PICTURES

Measures how near each filter comes to the exact mean over the area that a
pixel covers (which is what training's --resize=area takes), and how long it takes.

The reference is float64: each source pixel counts by the part of it that lies in the
area. Times are the fastest of the repeats for each picture, one thread.
"""

import dataclasses
import math
import statistics
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfpipe import cli
from tfpipe.base import machine
from tfpipe.base.settings import check_settings, setting
from tfpipe.data.pictures.resizing import make_image
from tfpipe.data.storing import RESIZE_FILTERS, Storing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    image_dir: str = setting("data", "Folder of JPEGs.", front=True)
    image_size: int = setting(224, "Side of a square in pixels.", minimum=8, front=True)
    num_pictures: int = setting(100, "Pictures, evenly spread.", minimum=1, front=True)
    repeats: int = setting(5, "Times that each is timed.", minimum=1, front=True)

    def __post_init__(self) -> None:
        check_settings(self)


def area_weights(length: int, size: int) -> NDArray[np.float64]:
    """Return how much each of `length` pixels counts in each of `size`; rows add to 1.

    Returns:
        float64 [size, length].
    """
    edges = np.arange(size + 1) * length / size
    pixels = np.arange(length)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(
        edges[:-1, None], pixels
    )
    return np.clip(covered, 0, None) * size / length


def exact_area(image: Image.Image, size: int) -> NDArray[np.float64]:
    """Return the mean over each pixel's area, float64 [size, size, 3]."""
    pixels = np.asarray(image, np.float64)
    rows, columns = (area_weights(length, size) for length in pixels.shape[:2])
    result: NDArray[np.float64] = np.einsum(
        "yh,hwc,xw->yxc", rows, pixels, columns, optimize=True
    )
    return result


def open_pictures(config: Config) -> list[Image.Image]:
    """Return evenly spread pictures of the folder, decoded, RGB."""
    paths = sorted(Path(config.image_dir).rglob("*.jpg"))
    if not paths:
        raise FileNotFoundError(
            f"image_dir must hold .jpg pictures, got none in {config.image_dir}; name "
            "a folder with --image_dir"
        )
    chosen = paths[:: max(1, len(paths) // config.num_pictures)]
    return [Image.open(path).convert("RGB") for path in chosen[: config.num_pictures]]


def measure(
    image: Image.Image, exact: NDArray[Any], storing: Storing, repeats: int
) -> tuple[float, float]:
    """Return the mean absolute error to `exact` and the seconds of the fastest call."""
    seconds = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        square, _ = make_image(image, storing)
        seconds = min(seconds, time.perf_counter() - start)
    return float(np.abs(np.asarray(square, np.float64) - exact).mean()), seconds


def work(config: Config) -> int:
    """Measure, and print the table in Markdown."""
    pictures = open_pictures(config)
    facts = machine.describe()
    print(
        f"{facts['cpu']}, {facts['cores']} cores, one used; pillow "
        f"{metadata.version('pillow')}; {len(pictures)} pictures to "
        f"{config.image_size} px, the fastest of {config.repeats} times each\n"
    )
    print(
        "| filter | mean absolute error (of 255) | milliseconds |\n| --- | --- | --- |"
    )
    exact = [exact_area(image, config.image_size) for image in pictures]
    for name in RESIZE_FILTERS:
        storing = Storing(image_size=config.image_size, resize_filter=name)
        pairs = [
            measure(image, reference, storing, config.repeats)
            for image, reference in zip(pictures, exact, strict=True)
        ]
        error, seconds = (
            statistics.mean(values) for values in zip(*pairs, strict=True)
        )
        print(f"| {name} | {error:.2f} | {1000 * seconds:.2f} |", flush=True)
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
