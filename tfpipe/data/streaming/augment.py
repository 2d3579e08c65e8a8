"""Change training pictures a little, otherwise in every epoch, the same in every run.

What happens to a picture is computed from (seed, epoch, source id) alone: optimizers
that share a seed see the same pictures, and a resumed run goes on with them.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfpipe.base.seeds import derive_seed
from tfpipe.data.order import Ids, splitmix64
from tfpipe.data.pictures.resampling import Pixels
from tfpipe.data.streaming.choices import AUGMENTATIONS, check_choice

# As in Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6, but with
# at least a quarter of the picture, so that the animal stays in it.
CROP_AREA = (0.25, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)
MOST_DEGREES = 10.0
COLOR_RANGE = 0.2
_DRAWS = 16  # numbers kept for each picture
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to each training picture.

    Attributes:
        kinds: some of
            - "crop": a part of 1/4 to all of the picture's area, its sides' ratio
              stretched by 3/4 to 4/3 against the picture's, becomes the picture;
            - "flip": one in two is mirrored, left to right;
            - "rotate": turned by at most 10 degrees, and enlarged as little as leaves
              no empty corner;
            - "color": brightness, contrast and saturation, each changed by a factor
              from 0.8 to 1.2.
        seed: the run's.
    """

    kinds: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        """Refuse unknown kinds."""
        for kind in self.kinds:
            check_choice("augment", kind, AUGMENTATIONS)

    def epoch_seed(self, epoch: int) -> int:
        """Return the seed, of 64 bits, of all that happens in one epoch."""
        return derive_seed(self.seed, "augmentation", epoch)

    def draws(self, source_ids: Ids, epoch: int) -> NDArray[np.float64]:
        """Return the random numbers of some pictures in one epoch.

        Number j of picture i is output 16 i + j of SplitMix64 seeded with
        `derive_seed(seed, "augmentation", epoch)`, its upper 53 bits as a fraction.

        Returns:
            float64 [n, 16] in [0, 1).
        """
        state = np.uint64(self.epoch_seed(epoch))
        first: NDArray[np.uint64] = source_ids.astype(np.uint64) * np.uint64(_DRAWS)
        index = np.add.outer(first, np.arange(_DRAWS, dtype=np.uint64))
        bits = splitmix64(state, index)
        fractions: NDArray[np.float64] = (bits >> np.uint64(11)) / 2.0**53
        return fractions

    def crop(self, pixels: Pixels, draw: NDArray[np.float64]) -> Pixels:
        """Return the part of a decoded picture that is to be resized."""
        if "crop" not in self.kinds:
            return pixels
        height, width = pixels.shape[:2]
        area = CROP_AREA[0] + draw[0] * (CROP_AREA[1] - CROP_AREA[0])
        low, high = map(math.log, CROP_ASPECT)
        aspect = math.exp(low + draw[1] * (high - low))
        rows = min(height, max(1, round(height * math.sqrt(area / aspect))))
        columns = min(width, max(1, round(width * math.sqrt(area * aspect))))
        top = int(draw[2] * (height - rows + 1))
        left = int(draw[3] * (width - columns + 1))
        return pixels[top : top + rows, left : left + columns]

    def change(self, pixels: Pixels, draw: NDArray[np.float64]) -> Pixels:
        """Flip, turn and recolour a picture, uint8 [size, size, 3]."""
        if "flip" in self.kinds and draw[4] < 0.5:
            pixels = pixels[:, ::-1]
        if "rotate" in self.kinds:
            pixels = _rotate(pixels, MOST_DEGREES * (2 * draw[5] - 1))
        if "color" in self.kinds:
            factors = 1 + COLOR_RANGE * (2 * draw[6:9] - 1)
            pixels = _recolor(pixels, *(float(factor) for factor in factors))
        return pixels

    @property
    def needs_source(self) -> bool:
        """Whether it starts from the picture in its own size, not from the square."""
        return "crop" in self.kinds


def _rotate(pixels: Pixels, degrees: float) -> Pixels:
    """Turn a square about its middle, enlarged so that its corners stay filled."""
    size = len(pixels)
    angle = math.radians(degrees)
    zoom = abs(math.cos(angle)) + abs(math.sin(angle))
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    middle = size / 2
    offset = middle - cosine * middle + sine * middle
    matrix = (cosine, -sine, offset, sine, cosine, middle - (sine + cosine) * middle)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    turned = image.transform(
        (size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.asarray(turned)


def _recolor(
    pixels: Pixels, brightness: float, contrast: float, saturation: float
) -> Pixels:
    """Scale values; their distance to the mean gray; to their own gray."""
    values = pixels.reshape(-1, 3).astype(np.float32)
    values *= np.float32(brightness)
    gray = values[:, 0] * _LUMA[0] + values[:, 1] * _LUMA[1] + values[:, 2] * _LUMA[2]
    mean = gray.mean(dtype=np.float64)
    # Gray moves with contrast; saturation then moves values about it.
    gray = np.float32(contrast) * gray + np.float32((1 - contrast) * mean)
    values *= np.float32(contrast * saturation)
    values += (np.float32(1 - saturation) * gray)[:, None] + np.float32(
        (1 - contrast) * mean * saturation
    )
    values += np.float32(0.5)
    return values.clip(0, 255).astype(np.uint8).reshape(pixels.shape)
