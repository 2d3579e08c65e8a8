"""How pictures are stored: as they are, or at training size; as JPEG or plain bytes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfpipe.base.settings import check_settings, setting

RESIZE_MODES = ("stretch", "crop", "pad")
RESIZE_FILTERS = ("area", "box", "bilinear", "hamming", "bicubic", "lanczos", "nearest")
SUBSAMPLINGS = ("444", "422", "420")
ENCODINGS = ("jpeg", "raw")
_BYTES_A_PIXEL = {85: 0.30, 90: 0.37, 95: 0.52, 100: 1.11}  # with 4:4:4, by quality


@dataclasses.dataclass(frozen=True, kw_only=True)
class Storing:
    """What becomes of a picture's pixels on their way into a record."""

    image_size: int = setting(
        0,
        "Store pictures as squares of this side in pixels; 0: in their own size.",
        minimum=0,
        maximum=10_000,
        front=True,
    )
    resize_mode: str = setting(
        "stretch",
        "How a picture becomes a square: stretch it, crop its middle, or pad it "
        "with black.",
        choices=RESIZE_MODES,
    )
    resize_filter: str = setting(
        "area",
        "area, the exact mean over the area of a pixel, as --resize of training takes "
        "it, or a filter of Pillow's: all but nearest, the experiment's, antialiased.",
        choices=RESIZE_FILTERS,
    )
    encoding: str = setting(
        "jpeg",
        "jpeg, or raw for uint8 pixels (needs image_size; larger, nothing to decode).",
        choices=ENCODINGS,
    )
    jpeg_quality: int = setting(
        95, "Quality of the JPEGs that are encoded anew.", minimum=1, maximum=100
    )
    jpeg_subsampling: str = setting(
        "444", "Chroma subsampling of these.", choices=SUBSAMPLINGS
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.encoding == "raw" and not self.image_size:
            raise ValueError(
                "image_size must be given with encoding raw, got 0; "
                "give --image_size too"
            )
        if 0 < self.image_size < 8:
            raise ValueError(
                f"image_size must be 0 or at least 8, got {self.image_size}; "
                "give a larger --image_size"
            )

    @property
    def facts(self) -> dict[str, Any]:
        """Return the settings by name, as metadata.json keeps them."""
        return dataclasses.asdict(self)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return a line for people for each setting that was given and cannot act."""
        idle: dict[str, str] = {}
        if not self.image_size:
            why = "image_size 0 keeps every picture in its own size"
            idle |= dict.fromkeys(("resize_mode", "resize_filter"), why)
        if self.encoding == "raw":
            why = "raw pixels are no JPEG"
            idle |= dict.fromkeys(("jpeg_quality", "jpeg_subsampling"), why)
        default = {field.name: field.default for field in dataclasses.fields(self)}
        return tuple(
            f"{name} {value} cannot act: {idle[name]}"
            for name, value in self.facts.items()
            if name in idle and value != default[name]
        )

    @property
    def expected_bytes(self) -> int:
        """Return about how many bytes a picture of `image_size` takes.

        For JPEG: the mean of photographs at 224 pixels and this quality or the next
        one measured above it, docs/benchmarks/stored_jpeg.md.
        """
        num_pixels = self.image_size**2
        if self.encoding == "raw":
            return 3 * num_pixels
        quality = next(q for q in _BYTES_A_PIXEL if q >= self.jpeg_quality)
        return round(_BYTES_A_PIXEL[quality] * num_pixels)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Storing":
        """Return the settings that `facts` hold among others.

        What is absent has its default: records made before there was a choice.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: facts[name] for name in names if name in facts})


IN_OWN_SIZE = Storing()
