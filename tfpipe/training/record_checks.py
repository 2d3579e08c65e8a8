"""What a run asks of its records, before TensorFlow takes seconds to load."""

from pathlib import Path

from tfpipe.data.manifest import Manifest
from tfpipe.data.storing import Storing
from tfpipe.training import catalog, schedules
from tfpipe.training.config import SIDE, RunConfig
from tfpipe.training.measure import METRICS, TOP


def check_records(config: RunConfig, manifest: Manifest) -> None:
    """Refuse records that a run can't be trained on, and files that aren't there.

    Raises:
        ValueError: naming what is missing.
    """
    for name in (config.model.model, config.optimizer.optimizer):
        if catalog.is_own(name):
            catalog.own_code_sha256(name)
    weights = config.model.weights
    if weights not in ("none", "imagenet") and not Path(weights).is_file():
        raise ValueError(
            f"weights must be none, imagenet or a file, got {weights!r}, which is "
            "absent; name a .keras or .weights.h5 file"
        )
    if config.run.faithful:
        _check_faithful(manifest)
    _check_monitors(config, len(manifest.class_names))
    if config.data.validation_split or config.data.split_seed:
        return  # the splits are made when the records are opened
    sizes = manifest.split_sizes
    for split in ("train", "validation"):
        if not sizes.get(split):
            raise ValueError(
                f"{split} split of {manifest.records_dir} must hold pictures, got "
                "none; make records with another --validation_split"
            )
    if config.data.train_examples > sizes["train"]:
        raise ValueError(
            f"train_examples must be at most {sizes['train']:,}, which the train split "
            f"holds, got {config.data.train_examples:,}"
        )


def _check_monitors(config: RunConfig, num_classes: int) -> None:
    """Refuse to watch a metric that isn't there."""
    watched = set()
    if config.stopping.early_stopping != "off":
        watched.add(config.stopping.monitor)
    rule = config.optimizer
    if rule.schedule == "plateau":
        given = schedules.parse_args(rule.schedule, rule.schedule_args)
        watched.add(given.get("monitor", "val_loss"))
    if "val_top_5_accuracy" in watched and num_classes <= TOP:
        there = ", ".join(f"val_{name}" for name in METRICS if "top_5" not in name)
        raise ValueError(
            f"monitor must be a metric of these records, which are {there}, loss and "
            f"accuracy, got val_top_5_accuracy for {num_classes} classes"
        )


def _check_faithful(manifest: Manifest) -> None:
    """Refuse records whose pixels aren't those that the notebook trained on."""
    storing = Storing.from_facts(manifest.settings)
    stored = (storing.image_size, storing.resize_filter, storing.resize_mode)
    if stored != (SIDE, "nearest", "stretch") or storing.encoding != "raw":
        raise ValueError(
            f"records of a faithful run must hold the nearest pixels at {SIDE}, got "
            f"image_size {storing.image_size}, {storing.resize_filter}, "
            f"{storing.encoding}; make them with python tools/make_records.py "
            f"--image_size={SIDE} --resize_filter=nearest --encoding=raw "
            "--records_dir=records-faithful"
        )
