import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfpipe.base.settings import build_config
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.convert import convert


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Return a maker of picture files: encode(seed, size=(width, height), ...)."""

    def make(
        seed: int = 0,
        *,
        size: tuple[int, int] = (20, 16),
        mode: str = "RGB",
        kind: str = "JPEG",
        **options: object,
    ) -> bytes:
        shape = (size[1], size[0], len(Image.new(mode, (1, 1)).getbands()))
        pixels = np.random.default_rng(seed).integers(0, 255, shape, np.uint8)
        image = Image.fromarray(pixels.squeeze(), mode=None).convert(mode)
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return make


@pytest.fixture
def flat(encode) -> dict[str, bytes]:
    """Return 12 dogs and 8 cats as Kaggle names them."""
    names = [f"dog.{i}.jpg" for i in range(12)] + [f"cat.{i}.jpg" for i in range(8)]
    return {name: encode(seed) for seed, name in enumerate(names)}


@pytest.fixture
def lay(tmp_path) -> Callable[[Mapping[str, bytes], str], Path]:
    """Return a maker of folders: lay({path: bytes}, name)."""

    def make(pictures: Mapping[str, bytes], name: str = "data") -> Path:
        for path, data in pictures.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return tmp_path / name

    return make


@pytest.fixture
def pack(tmp_path) -> Callable[..., Path]:
    """Return a maker of zips: pack({path: bytes}, name, method)."""

    def make(
        entries: Mapping[str, bytes],
        name: str = "data.zip",
        method: int = zipfile.ZIP_STORED,
    ) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", method) as archive:
            for path, data in entries.items():
                archive.writestr(path, data)
        return tmp_path / name

    return make


@pytest.fixture
def make_records(tmp_path):
    """Return convert() with tests' defaults: make_records(image_dir, name, ...)."""

    def make(image_dir: Path, name: str = "records", **settings: object):
        values = {
            "image_dir": str(image_dir),
            "records_dir": str(tmp_path / name),
            "num_workers": 1,
            **settings,
        }
        return convert(build_config(ConvertConfig, values))

    return make


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Return a reader of every file below a folder, the lock aside."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != ".lock"
        }

    return read
