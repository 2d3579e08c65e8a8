"""Readers of the same pictures, each run by input_rates.py in a process of its own.

`python benchmarks/readers.py READER '{"path": ..., ...}'` prints a line of JSON: the
pictures/s of each epoch but the first, from its first batch to its last; the seconds
from the last batch of each epoch to the first of the next; the seconds from the call to
the very first batch; and the peak memory of the process.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

EPOCHS = 4  # the first one warms up
Batches = Iterator[Any]


def tfpipe(path: str, **options: Any) -> Callable[[], Batches]:
    """tfpipe's input function over records."""
    import tensorflow as tf  # noqa: F401 - its import isn't the reader's time

    from tfpipe import input_fn

    begin_clock()
    dataset = input_fn(path, "train", batch_size=32, **options)
    return lambda: iter(dataset)


def keras(path: str, image_size: int) -> Callable[[], Batches]:
    """Keras's loader over a folder for each class; bilinear, not antialiased."""
    import keras

    begin_clock()
    dataset = keras.utils.image_dataset_from_directory(
        path, image_size=(image_size, image_size), batch_size=32, seed=0, verbose=False
    )
    return lambda: iter(dataset)


def torch(path: str, image_size: int, workers: int) -> Callable[[], Batches]:
    """PyTorch's DataLoader; Pillow decodes and resizes (bilinear, antialiased)."""
    import numpy as np
    import torch
    from PIL import Image

    class Pictures(torch.utils.data.Dataset):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.paths = sorted(Path(path).glob("*/*"))

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, position: int) -> tuple[Any, int]:
            path = self.paths[position]
            image = Image.open(path).convert("RGB")
            if image.size != (image_size, image_size):
                image = image.resize(
                    (image_size, image_size), Image.Resampling.BILINEAR
                )
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
            return pixels.float() / 255, int(path.parent.name == "cat")

    begin_clock()
    loader = torch.utils.data.DataLoader(
        Pictures(),
        batch_size=32,
        shuffle=True,
        num_workers=workers,
        persistent_workers=True,
    )
    return lambda: iter(loader)


def ffcv(path: str, image_size: int, workers: int) -> Callable[[], Batches]:
    """FFCV's Loader; a centred square, its own resize; uint8 batches."""
    import torch  # noqa: F401
    from ffcv.fields.decoders import CenterCropRGBImageDecoder, IntDecoder
    from ffcv.loader import Loader, OrderOption

    begin_clock()
    size = (image_size, image_size)
    loader = Loader(
        path,
        batch_size=32,
        num_workers=workers,
        order=OrderOption.RANDOM,
        pipelines={
            "image": [CenterCropRGBImageDecoder(size, ratio=1)],
            "label": [IntDecoder()],
        },
    )
    return lambda: iter(loader)


def dali(path: str, image_size: int, workers: int) -> Callable[[], Batches]:
    """DALI's pipeline on the CPU; linear, not antialiased; float32 batches."""
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(batch_size=32, num_threads=workers, device_id=None)  # type: ignore
    def pictures() -> Any:
        encoded, labels = fn.readers.file(
            file_root=path, random_shuffle=True, name="reader"
        )
        images = fn.decoders.image(encoded, device="cpu", output_type=types.RGB)
        images = fn.resize(
            images,
            resize_x=image_size,
            resize_y=image_size,
            antialias=False,
            interp_type=types.INTERP_LINEAR,
        )
        return fn.cast(images, dtype=types.FLOAT) / 255.0, labels

    begin_clock()
    pipeline = pictures()
    pipeline.build()
    num_batches = -(-pipeline.epoch_size("reader") // 32)

    def epoch() -> Batches:
        for _ in range(num_batches):
            yield pipeline.run()[0].as_tensor().shape()

    return epoch


READERS = {reader.__name__: reader for reader in (tfpipe, keras, torch, ffcv, dali)}
_begun = 0.0


def begin_clock() -> None:
    """Start the clock of the first batch: everything is imported."""
    global _begun
    _begun = time.perf_counter()


def count(batch: Any) -> int:
    """Return how many pictures a batch holds."""
    if isinstance(batch, list) and all(isinstance(side, int) for side in batch):
        return int(batch[0])
    return len(batch[0])


def measure(make_epoch: Callable[[], Batches]) -> dict[str, Any]:
    """Return what the module's docstring says, of a few epochs."""
    rates, gaps, first_batch, ended = [], [], 0.0, 0.0
    for epoch in range(EPOCHS):
        batches = make_epoch()
        next(batches)
        start = time.perf_counter()
        if epoch:
            gaps.append(start - ended)
        else:
            first_batch = start - _begun
        pictures = 0
        for batch in batches:
            pictures += count(batch)
            ended = time.perf_counter()
        if epoch:
            rates.append(pictures / (ended - start))
        # As a loop over epochs does before the next one: with its end inside the gap.
        del batches
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "rates": rates,
        "gaps": gaps,
        "first_batch": first_batch,
        "peak_bytes": peak,
    }


def main() -> None:
    """Run one reader."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    name, options = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(measure(READERS[name](**options))))


if __name__ == "__main__":
    main()
