"""Which model answers which pictures. Keras isn't loaded."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipe.base.settings import check_settings, setting
from tfpipe.data.storing import Storing
from tfpipe.training import run_folder

TABLES = (".csv", ".json")
# What a folder is searched for; a file that is named is read whatever its name.
SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Which model answers which pictures."""

    model: str = setting("", "A .keras file that training saved.", front=True)
    pictures: tuple[str, ...] = setting((), "Pictures, or folders of them.", front=True)
    out: str = setting(
        "", "Write all probabilities to this .csv or .json file.", front=True
    )
    batch_size: int = setting(32, "Pictures a step.", minimum=1)

    def __post_init__(self) -> None:
        """Refuse wrong values."""
        check_settings(self)
        if not self.model or not self.pictures:
            raise ValueError(
                "arguments must be a model and pictures, got "
                f"{self.model or 'none'}; say python -m tfpipe.predict "
                "runs/RUN/best.keras PICTURES"
            )
        if self.out and Path(self.out).suffix not in TABLES:
            raise ValueError(
                f"out must end in one of {', '.join(TABLES)}, got {self.out!r}"
            )
        if self.out and not Path(self.out).absolute().parent.is_dir():
            raise ValueError(
                f"out must be in a folder that is there, got {self.out!r}; make "
                "the folder first"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """What training says of its saved models.

    Attributes:
        class_names: by label; () where nothing is said.
        resize: how pictures were resized as they were read.
        storing: how they were stored before.
    """

    class_names: tuple[str, ...] = ()
    resize: str = "area"
    storing: Storing = dataclasses.field(default_factory=Storing)


def read_export(config: PredictConfig) -> Export:
    """Return what the export.json beside a model says; what it doesn't has a default.

    Raises:
        ValueError: for a model that isn't there, or a damaged export.json.
    """
    model = Path(config.model)
    if not model.is_file() or model.suffix != ".keras":
        kind = "a folder" if model.is_dir() else "another file"
        raise ValueError(
            f"model must be a .keras file, got {config.model!r}, which is "
            f"{kind if model.exists() else 'absent'}; training saves best.keras and "
            "last.keras into its run folder"
        )
    path = model.parent / run_folder.EXPORT
    if not path.exists():
        return Export()
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Export(
            class_names=tuple(facts["class_names"]),
            resize=facts["resize"],
            storing=Storing.from_facts(facts.get("storing", {})),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} must be what training wrote, got {error!r}; train again, or move "
            "the model elsewhere to use it without"
        ) from None


def find_pictures(paths: Sequence[str]) -> list[Path]:
    """Return the files that paths name, a folder's pictures in the order of names.

    Raises:
        ValueError: for a path that isn't there, or a folder without pictures.
    """
    found: list[Path] = []
    for text in paths:
        path = Path(text)
        if path.is_dir():
            inside = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES]
            if not inside:
                raise ValueError(f"folder must hold pictures, got {text!r} without any")
            found += sorted(inside)
        elif path.exists():
            found.append(path)
        else:
            raise ValueError(f"picture must be a file or folder, got {text!r}")
    return found
