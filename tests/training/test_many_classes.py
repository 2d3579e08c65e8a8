"""Whole runs with 10 and 300 uneven classes, class weights and metrics among them."""

import numpy as np
import pytest
from PIL import Image

from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.convert import convert
from tfpipe.training.config import RunConfig
from tfpipe.training.run import train


@pytest.fixture(params=[10, pytest.param(300, marks=pytest.mark.slow)])
def num_classes(request):
    return request.param


@pytest.fixture
def uneven_records(num_classes, tmp_path):
    """Flat pictures, of class k four and up to twelve more."""
    random = np.random.default_rng(0)
    for label in range(num_classes):
        folder = tmp_path / "pictures" / f"class{label:03d}"
        folder.mkdir(parents=True)
        for number in range(4 + (label * 7) % 13):
            colour = [(label * 37) % 256, (label * 91) % 256, (label * 53) % 256]
            pixels = np.clip(colour + random.integers(-9, 10, (8, 8, 3)), 0, 255)
            path = folder / f"{number}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    records = tmp_path / "records"
    convert(
        ConvertConfig(
            image_dir=str(tmp_path / "pictures"),
            records_dir=str(records),
            num_workers=1,
        )
    )
    return records


def test_uneven_classes_train_weighted_and_are_monitored(
    uneven_records, num_classes, tmp_path
):
    config = RunConfig.of(
        records_dir=str(uneven_records),
        runs_dir=str(tmp_path / "runs"),
        model="small_cnn",
        image_size=8,
        epochs=3,
        learning_rate=1e-3,
        optimizer="adam",
        class_weight="balanced",
        early_stopping="keras2",
        monitor="val_macro_f1",
        patience=2,
        baseline=2.0,
    )
    record = train(config, say=lambda line: None)
    last = record.evaluations[-1]
    assert len(last["val_recalls"]) == num_classes
    counts = record.facts["validation_class_counts"]
    assert len(set(counts)) > 2  # uneven, indeed
    recalls = last["val_recalls"]
    right = sum(r * n for r, n in zip(recalls, counts, strict=True) if n)
    assert last["val_accuracy"] == pytest.approx(right / sum(counts))
    known = [r for r, n in zip(recalls, counts, strict=True) if n]
    assert last["val_balanced_accuracy"] == pytest.approx(np.mean(known))
    assert last["val_accuracy"] <= last["val_top_5_accuracy"] <= 1
    assert record.status["status"] == "stopped_early"
    with np.load(record.folder / "predictions" / f"step-{last['step']}.npz") as stored:
        assert stored["top_classes"].shape == (sum(counts), 5)
        top = stored["top_classes"] == stored["label"][:, None]
        assert last["val_top_5_accuracy"] == pytest.approx(top.any(axis=1).mean())
