"""Pictures and records that tests share."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfpipe.data.streaming import cache
from tfpipe.training.config import RunConfig

NUM_PICTURES = 52
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Let tests send Ctrl-C: what a shell starts in the background ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def shared_dir(tmp_path_factory, monkeypatch):
    """Keep decoded pictures of tests apart from each other and from this machine's."""
    folder = tmp_path_factory.mktemp("shared")
    monkeypatch.setattr(cache, "SHARED_DIR", folder)
    return folder


def write_pictures(folder: Path, num_pictures: int, side: int = 24) -> None:
    """Write flat cat.N.jpg and dog.N.jpg: stripes, across for cats, upright for dogs.

    Colours are random, so that only the shape tells the classes apart.
    """
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(num_pictures):
        stripes = (np.arange(side) // 3 % 2)[:, None, None]
        dark, light = random.integers(0, 120, 3), random.integers(130, 256, 3)
        pixels = np.where(stripes, dark, light) + random.integers(
            -9, 10, (side, side, 1)
        )
        word = ("cat", "dog")[number % 2]
        if word == "dog":
            pixels = pixels.transpose(1, 0, 2)
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        picture.save(folder / f"{word}.{number // 2}.jpg", quality=90)


@pytest.fixture(scope="session")
def image_dir(tmp_path_factory):
    """26 cats and 26 dogs, 24 x 24 pixels."""
    folder = tmp_path_factory.mktemp("pictures") / "train"
    write_pictures(folder, NUM_PICTURES)
    return folder


@pytest.fixture(scope="session")
def records_dir(image_dir, tmp_path_factory):
    """Their records: 39 train, 13 validation. Tests don't change them."""
    from tfpipe.data.conversion.config import ConvertConfig
    from tfpipe.data.conversion.convert import convert

    folder = tmp_path_factory.mktemp("made") / "records"
    convert(
        ConvertConfig(
            image_dir=str(image_dir),
            records_dir=str(folder),
            num_workers=1,
            num_shards=4,
        )
    )
    return folder


@pytest.fixture
def small_run(records_dir, tmp_path):
    """A run of two short epochs, a matter of seconds, for tests to change."""
    return RunConfig.of(
        records_dir=str(records_dir),
        runs_dir=str(tmp_path / "runs"),
        model="small_cnn",
        image_size=16,
        batch_size=8,
        epochs=2,
    )


@contextlib.contextmanager
def serve(logdir, num_runs):
    """Start TensorBoard; give a function that asks it for JSON, once runs are there."""
    flags = ["--logdir", str(logdir), "--host", "127.0.0.1", "--port", "0"]
    flags += ["--load_fast=false", "--reload_interval=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *flags],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stderr:
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
            if found:
                break
        root = f"http://127.0.0.1:{found[1]}/data/plugin/"

        def ask(path, body=None):
            data = None if body is None else json.dumps(body).encode()
            headers = {"Content-Type": "application/json"} if data else {}
            request = urllib.request.Request(root + path, data, headers)
            with urllib.request.urlopen(request, timeout=30) as reply:
                return json.load(reply)

        for _ in range(100):  # it loads the runs behind its back
            if len(ask("scalars/tags")) >= num_runs:
                break
            time.sleep(0.2)
        yield ask
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


@pytest.fixture
def serve_tensorboard():
    """Give a context manager that starts TensorBoard on loopback: see `serve`."""
    return serve


@pytest.fixture
def real_originals() -> Path:
    """Some thousand pictures of dogs-vs-cats as they were taken."""
    folder = REAL / "dogs-vs-cats-originals" / "train"
    if not folder.is_dir():
        pytest.skip("no real pictures beside the project")
    return folder


@pytest.fixture
def real_zip() -> Path:
    """All 25,000, scaled down."""
    path = REAL / "dogs-vs-cats-112px.zip"
    if not path.is_file():
        pytest.skip("no real pictures beside the project")
    return path
