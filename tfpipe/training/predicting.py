"""Answer pictures with a saved model."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfpipe.base import files
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.pictures.images import RejectedPictureError, judge_picture
from tfpipe.data.streaming.decoding import Decoding
from tfpipe.training import devices
from tfpipe.training.prediction_config import Export, PredictConfig


def predict(config: PredictConfig, export: Export, pictures: list[Path]) -> list[str]:
    """Print a line for each picture, and write all probabilities where asked.

    Args:
        config: the model, and where the table goes.
        export: what is known of the model.
        pictures: files.

    Returns:
        an error for each picture that can't be read.

    Raises:
        ValueError: for a model that isn't one of training's.
    """
    devices.set_up()
    model = _open(config.model)
    size, num_classes = model.input_shape[1], model.output_shape[-1]
    names = export.class_names or tuple(str(label) for label in range(num_classes))
    if len(names) != num_classes:
        raise ValueError(
            f"export.json beside {config.model} must name {num_classes} classes, got "
            f"{len(names)}; keep a model beside its own"
        )
    rows: list[tuple[str, Any]] = []
    unread: list[str] = []
    for start in range(0, len(pictures), config.batch_size):
        known, pixels = [], []
        for path in pictures[start : start + config.batch_size]:
            try:
                pixels.append(read_pixels(path, export, size))
                known.append(str(path))
            except (OSError, RejectedPictureError) as error:
                unread.append(f"{path} must be a picture, got {error}")
        if not known:
            continue
        answers = np.asarray(model.predict_on_batch(np.stack(pixels)))
        for name, row in zip(known, answers, strict=True):
            best = int(row.argmax())
            print(f"{name}\t{names[best]}\t{row[best]:.4f}", flush=True)
            rows.append((name, row))
    if config.out:
        files.write_bytes(Path(config.out), _table(config.out, names, rows).encode())
    return unread


def read_pixels(path: Path, export: Export, size: int) -> Any:
    """Return a picture as training would have seen it, uint8 [size, size, 3].

    Raises:
        RejectedPictureError: where conversion would have left it out.
    """
    data, storing = path.read_bytes(), export.storing
    limits = ConvertConfig()
    picture = judge_picture(
        data, max_pixels=limits.max_pixels, min_side=limits.min_side, storing=storing
    )
    decoding = Decoding(
        image_size=size,
        resize=export.resize,
        stored_size=storing.image_size,
        is_raw=storing.encoding == "raw",
    )
    return decoding.decode(picture.encoded or data)


def _open(path: str) -> Any:
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            f"model must be a .keras file that Keras opens, got {path}: "
            f"{str(error).splitlines()[0]}"
        ) from None
    taken = getattr(model, "input_shape", None)
    given = getattr(model, "output_shape", None)
    takes = isinstance(taken, tuple) and len(taken) == 4 and taken[1] == taken[2]
    gives = isinstance(given, tuple) and len(given) == 2
    if not (takes and gives):
        raise ValueError(
            f"model must take square pictures and answer classes, got {path} with "
            f"input {taken} and output {given}"
        )
    return model


def _table(path: str, names: tuple[str, ...], rows: list[tuple[str, Any]]) -> str:
    if Path(path).suffix == ".json":
        found = [
            {
                "picture": picture,
                "class": names[int(row.argmax())],
                "probabilities": {
                    name: float(value) for name, value in zip(names, row, strict=True)
                },
            }
            for picture, row in rows
        ]
        return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["picture", "class", *names])
    for picture, row in rows:
        writer.writerow([picture, names[int(row.argmax())], *(f"{v:.9g}" for v in row)])
    return buffer.getvalue()
