"""Draw a set of labelled pictures into a folder of its own, whole or not at all.

`demo.json`, written last, holds the set's settings and lists its files; without it
there is no set. `demo.json.unfinished`, written first, lists what is being drawn, so
that after a kill the same command knows its own files and overwrites nothing else.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import PIL

from tfpipe.base import files, settings
from tfpipe.base.progress import Progress
from tfpipe.base.settings import setting
from tfpipe.data.demo import drawings

LISTING_NAME = "demo.json"
UNFINISHED_NAME = f"{LISTING_NAME}.unfinished"
_BYTES_PER_PIXEL = 1.0  # about 0.75 measured at 64 pixels, less at more


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Which pictures to draw, and where to."""

    image_dir: str = setting(
        "demo/images",
        "Folder for the pictures: a new one, or one that this command filled.",
        front=True,
        identity=False,
    )
    num_images: int = setting(
        2000, "Pictures in all, half of them of each class.", minimum=2, front=True
    )
    image_size: int = setting(
        64,
        "Pixels of a picture's shorter side; the longer has up to a quarter more.",
        minimum=16,
        maximum=1024,
        front=True,
    )
    seed: int = setting(0, "Another seed draws other pictures.", minimum=0, front=True)
    overwrite: bool = setting(
        False,
        "Draw again, and first remove the files of the set that is there.",
        identity=False,
    )

    def __post_init__(self) -> None:
        settings.check_settings(self)
        if self.num_images % 2:
            raise ValueError(
                f"num_images must be an even number, got {self.num_images}; "
                "each of the two classes gets half"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoSet:
    """A complete set of pictures on disk."""

    image_dir: Path
    num_images: int
    num_bytes: int
    is_new: bool


def draw_set(config: DemoConfig) -> DemoSet:
    """Draw the set of `config` unless it is there.

    Pictures are `cat.0.jpg`, `dog.0.jpg`, ...: flat names, as Kaggle's.

    Raises:
        ValueError: if the folder holds other files, or a set of other settings without
            `overwrite`.
        BlockingIOError: if another process is drawing into the folder.
    """
    folder = Path(config.image_dir)
    # Looked at before the lock's file is made: a refused folder stays untouched.
    if _find_set(folder, config) and not config.overwrite:
        return _describe(folder, config, is_new=False)
    num_bytes = config.num_images * config.image_size**2 * _BYTES_PER_PIXEL
    files.check_free_space(folder, round(num_bytes))
    folder.mkdir(parents=True, exist_ok=True)
    with files.FolderLock(folder):
        # Looked at again: another process may have drawn a set since.
        is_new = not _find_set(folder, config) or config.overwrite
        if is_new:
            _draw_files(folder, config)
    return _describe(folder, config, is_new=is_new)


def _find_set(folder: Path, config: DemoConfig) -> bool:
    """Tell whether the whole set of `config` is in `folder`; refuse another content."""
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise ValueError(
            f"image_dir must be a folder, got the file {folder}; choose another"
        )
    finished = _read_listing(folder / LISTING_NAME)
    listing = finished or _read_listing(folder / UNFINISHED_NAME)
    present = set(os.listdir(folder))
    others = sorted(
        name for name in present - _own_names(folder) if not name.startswith(".")
    )
    if others:
        raise ValueError(
            f"image_dir must be a new folder or one that this command filled, got "
            f"{len(others):,} other files in {folder} ({others[0]}); choose another"
        )
    if listing is None:
        return False
    if listing["settings"] != _set_settings(config) and not config.overwrite:
        found = ", ".join(
            f"{key}={value}" for key, value in listing["settings"].items()
        )
        raise ValueError(
            f"image_dir must be a new folder or hold the set of these settings, got "
            f"{found} in {folder}; choose another, or replace that set with --overwrite"
        )
    return finished is not None and present.issuperset(finished["files"])


def _draw_files(folder: Path, config: DemoConfig) -> None:
    names = [
        (class_name, index, f"{class_name}.{index}.jpg")
        for index in range(config.num_images // 2)
        for class_name in drawings.CLASS_NAMES
    ]
    listing = {
        "settings": _set_settings(config),
        "pillow": PIL.__version__,
        "files": [name for _, _, name in names],
    }
    replaced = _own_names(folder).intersection(os.listdir(folder))
    replaced -= {LISTING_NAME, UNFINISHED_NAME}
    # What is to be removed stays listed until it is: a kill here leaves no stray file.
    listed = sorted(replaced.union(listing["files"]))
    files.write_json(folder / UNFINISHED_NAME, {**listing, "files": listed})
    (folder / LISTING_NAME).unlink(missing_ok=True)
    for name in replaced:
        (folder / name).unlink()
    with Progress("drawing", len(names), "pictures") as progress:
        for class_name, index, name in names:
            data = drawings.draw_jpeg(
                class_name, index, seed=config.seed, image_size=config.image_size
            )
            # The listing publishes the set: a picture needn't be written aside.
            with open(folder / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            progress.advance()
    files.write_json(folder / LISTING_NAME, listing)
    (folder / UNFINISHED_NAME).unlink()


def _set_settings(config: DemoConfig) -> dict[str, int]:
    """Return what decides which pictures a set holds."""
    return {
        "num_images": config.num_images,
        "image_size": config.image_size,
        "seed": config.seed,
        "drawings_version": drawings.VERSION,
    }


def _own_names(folder: Path) -> set[str]:
    """Return every name in `folder` that is ours, present or not."""
    own = set[str]()
    for name in (LISTING_NAME, UNFINISHED_NAME):
        listing = _read_listing(folder / name)
        if listing:
            own.update([name, *listing["files"]])
    aside = {f"{name}{files.ASIDE_SUFFIX}" for name in (LISTING_NAME, UNFINISHED_NAME)}
    return own | aside


def _read_listing(path: Path) -> dict[str, Any] | None:
    """Return a listing of ours, None for an absent file or another's."""
    try:
        listing = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    is_ours = isinstance(listing, dict) and {"settings", "files"} <= set(listing)
    return listing if is_ours else None


def _describe(folder: Path, config: DemoConfig, *, is_new: bool) -> DemoSet:
    num_bytes = sum(path.stat().st_size for path in folder.glob("*.jpg"))
    return DemoSet(
        image_dir=folder,
        num_images=config.num_images,
        num_bytes=num_bytes,
        is_new=is_new,
    )
