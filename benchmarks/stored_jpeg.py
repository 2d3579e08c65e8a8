"""python benchmarks/stored_jpeg.py --image_dir=YOUR_PICTURES

Measures what storing pictures at training size costs and loses, for each JPEG quality
and chroma subsampling and for raw pixels: bytes, encoding and decoding in one thread,
and the error against the resized pixels before encoding.

Encoding is make_records' own; decoding is libjpeg-turbo's (simplejpeg) with the
accurate DCT, as in training. Times are the fastest of the repeats for each picture.
"""

import dataclasses
import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, features

from tfpipe import cli
from tfpipe.base import machine
from tfpipe.base.settings import check_settings, parse_value, setting
from tfpipe.data.pictures.images import RejectedPictureError, judge_picture
from tfpipe.data.pictures.resizing import encode
from tfpipe.data.storing import RESIZE_FILTERS, SUBSAMPLINGS, Storing

Pixels = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    image_dir: str = setting("data", "Folder of pictures.", front=True)
    image_size: int = setting(224, "Side of a square in pixels.", minimum=8, front=True)
    qualities: tuple[str, ...] = setting(
        ("85", "90", "95", "100"), "JPEG qualities.", front=True
    )
    subsamplings: tuple[str, ...] = setting(
        ("420", "444"), f"Of {', '.join(SUBSAMPLINGS)}.", front=True
    )
    resize_filter: str = setting("area", "Filter.", choices=RESIZE_FILTERS)
    num_pictures: int = setting(200, "Pictures, evenly spread.", minimum=1, front=True)
    repeats: int = setting(5, "Times that each is timed.", minimum=1, front=True)

    def __post_init__(self) -> None:
        check_settings(self)
        self.forms()

    def forms(self) -> list[Storing]:
        """Return the forms that are compared.

        Raises:
            ValueError: for a quality or a subsampling that there isn't.
        """
        form = Storing(image_size=self.image_size, resize_filter=self.resize_filter)
        qualities = [parse_value(text, int, "qualities") for text in self.qualities]
        jpegs = [
            dataclasses.replace(form, jpeg_quality=quality, jpeg_subsampling=name)
            for name in self.subsamplings
            for quality in qualities
        ]
        return [*jpegs, dataclasses.replace(form, encoding="raw")]


def resized_pictures(config: Config) -> list[Pixels]:
    """Return pictures in the size asked for, uint8 [size, size, 3]."""
    size = config.image_size
    paths = sorted(path for path in Path(config.image_dir).rglob("*") if path.is_file())
    found = []
    for path in paths[:: max(1, len(paths) // config.num_pictures)]:
        try:
            picture = judge_picture(
                path.read_bytes(),
                max_pixels=100_000_000,
                min_side=8,
                storing=config.forms()[-1],
            )
        except RejectedPictureError:
            continue
        pixels = np.frombuffer(picture.encoded or b"", np.uint8)
        found.append(pixels.reshape(size, size, 3))
    if not found:
        raise FileNotFoundError(
            f"image_dir must hold pictures, got none in {config.image_dir}; "
            "name a folder with --image_dir"
        )
    return found[: config.num_pictures]


def decode(data: bytes, storing: Storing) -> Pixels:
    """Return a stored picture's pixels."""
    size = storing.image_size
    if storing.encoding == "raw":
        return np.frombuffer(data, np.uint8).reshape(size, size, 3).copy()
    pixels: Pixels = simplejpeg.decode_jpeg(
        data, "RGB", fastdct=False, fastupsample=False
    )
    return pixels


def timed(function: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    """Return a function's result and the seconds of its fastest call."""
    seconds = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds = min(seconds, time.perf_counter() - start)
    return result, seconds


def measure(pictures: list[Pixels], storing: Storing, repeats: int) -> str:
    """Return one row of the table."""
    num_bytes, encoding, decoding, errors, squares = [], [], [], [], []
    for pixels in pictures:
        image = Image.fromarray(pixels)
        data, seconds = timed(partial(encode, image, storing), repeats)
        encoding.append(seconds)
        shown, seconds = timed(partial(decode, data, storing), repeats)
        decoding.append(seconds)
        difference = shown.astype(float) - pixels
        num_bytes.append(len(data))
        errors.append(np.abs(difference).mean())
        squares.append((difference**2).mean())
    mean_square = statistics.mean(squares)
    psnr = f"{10 * math.log10(255**2 / mean_square):.1f}" if mean_square else "exact"
    name = "raw"
    if storing.encoding == "jpeg":
        name = f"{storing.jpeg_quality}, {':'.join(storing.jpeg_subsampling)}"
    cells = (
        name,
        f"{statistics.mean(num_bytes):,.0f}",
        f"{1 / statistics.mean(encoding):,.0f}",
        f"{1 / statistics.mean(decoding):,.0f}",
        f"{statistics.mean(errors):.2f}",
        psnr,
    )
    return f"| {' | '.join(cells)} |"


def work(config: Config) -> int:
    """Measure, and print the table in Markdown."""
    pictures = resized_pictures(config)
    facts = machine.describe()
    versions = ", ".join(f"{p} {metadata.version(p)}" for p in ("pillow", "simplejpeg"))
    turbo = features.version_feature("libjpeg_turbo")
    print(
        f"{facts['cpu']}, {facts['cores']} cores, one used; {versions}, Pillow's "
        f"libjpeg-turbo {turbo}"
    )
    print(
        f"{len(pictures)} pictures at {config.image_size} px ({config.resize_filter}), "
        f"the fastest of {config.repeats} times each\n"
    )
    print(
        "| quality, chroma | bytes a picture | encoded/s | decoded/s | mean absolute "
        "error (of 255) | PSNR, dB |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for storing in config.forms():
        print(measure(pictures, storing, config.repeats), flush=True)
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
