"""Turn labelled pictures into records: scan, plan, shard jobs, publish."""

import dataclasses
import hashlib
import json
import os
import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipe.base import files, machine
from tfpipe.base.settings import check_settings, flatten, setting
from tfpipe.data import manifest as manifests
from tfpipe.data import scan, shards, workplace
from tfpipe.data.labels import DOGS_VS_CATS, LabelledSources, label_sources
from tfpipe.data.manifest import Manifest
from tfpipe.data.plan import count_pictures, make_plan
from tfpipe.data.publish import (
    DEFAULT_RECORDS_DIR,
    codec_versions,
    print_next,
    print_splits,
    print_summary,
    publish,
    write_rejects,
)
from tfpipe.data.shards import SourceChangedError
from tfpipe.data.sources import list_pictures, missing_pictures


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What `make_records` is told."""

    image_dir: str = setting(
        "data",
        "Folder or .zip of labelled pictures; Kaggle's zip as it is.",
        front=True,
    )
    records_dir: str = setting(
        DEFAULT_RECORDS_DIR, "Folder to write the records into.", front=True
    )
    validation_split: float = setting(
        0.25,
        "Fraction of the written pictures for validation.",
        minimum=0,
        maximum=0.99,
        front=True,
    )
    class_names: tuple[str, ...] = setting(
        (),
        "Class names in label order, a,b,...; empty: the folders' names, sorted, else "
        "the words dog and cat in the file names. Cats and dogs are always dog=0, "
        "cat=1, as in the experiment, unless told otherwise here.",
        front=True,
    )
    num_shards: int = setting(
        0, "Shards of all splits together; 0: 16 for 25,000.", minimum=0, front=True
    )
    num_workers: int = setting(
        0,
        "Worker processes; 0: the usable cores.",
        minimum=0,
        front=True,
        identity=False,
    )
    max_rejects: str = setting(
        "",
        "Fail before publishing above this many rejects: a count (20) or a fraction "
        "(0.01); empty: no limit.",
        front=True,
        identity=False,
    )
    overwrite: bool = setting(
        False,
        "Replace finished records, or unfinished work, of other settings.",
        front=True,
        identity=False,
    )
    dataset_name: str = setting(
        "", "Name that TFDS and the shards bear; empty: from the class names."
    )
    test_split: float = setting(
        0.0,
        "Fraction of the written pictures for a test split.",
        minimum=0,
        maximum=0.99,
    )
    max_pixels: int = setting(
        100_000_000, "Reject pictures of more pixels, height x width.", minimum=1
    )
    min_side: int = setting(
        8, "Reject pictures with a side of fewer pixels.", minimum=1
    )

    def __post_init__(self) -> None:
        check_settings(self)
        self.reject_limit(1)
        if self.validation_split + self.test_split >= 1:
            raise ValueError(
                "validation_split and test_split must leave pictures for train, got "
                f"{self.validation_split} and {self.test_split}; make them smaller"
            )
        if self.dataset_name and not re.fullmatch(
            r"[a-zA-Z][a-zA-Z0-9_]*", self.dataset_name
        ):
            raise ValueError(
                "dataset_name must be letters, digits and underscores after a letter, "
                f"got {self.dataset_name!r}; give another --dataset_name"
            )

    def reject_limit(self, num_found: int) -> float:
        """Return how many rejects are borne among `num_found` pictures.

        Raises:
            ValueError: if `max_rejects` is neither a count nor a fraction.
        """
        if not self.max_rejects:
            return float("inf")
        if re.fullmatch(r"\d+", self.max_rejects):
            return int(self.max_rejects)
        if re.fullmatch(r"0?\.\d+", self.max_rejects):
            return float(self.max_rejects) * num_found
        raise ValueError(
            "max_rejects must be a count such as 20 or a fraction such as 0.01, got "
            f"{self.max_rejects!r}; leave it out for no limit"
        )

    def command(self) -> str:
        """Return the command line that gives this config."""
        default = flatten(ConvertConfig())
        words = [manifests.COMMAND]
        for name, value in flatten(self).items():
            if value != default[name]:
                text = ",".join(value) if isinstance(value, list) else str(value)
                words.append(
                    f"--{name}" if value is True else f"--{name}={shlex.quote(text)}"
                )
        return " ".join(words)


def convert(config: ConvertConfig) -> Manifest:
    """Make the records that `config` describes, or go on making them.

    What was finished before a kill stays; if all was, this says so and returns.

    Raises:
        ValueError: for a wrong input or folder.
        OSError: if a disk is full, a worker dies or a picture changes meanwhile.
    """
    started = time.monotonic()
    image_dir, records_dir = Path(config.image_dir), Path(config.records_dir)
    if not image_dir.exists():
        raise ValueError(missing_pictures(os.fspath(image_dir), "nothing there"))
    with workplace.open_records_dir(records_dir) as partial:
        listing = list_pictures(image_dir, partial / workplace.SPOOL)
        labelled = label_sources(listing.places, config.class_names)
        for note in (*listing.notes, *labelled.notes):
            print(note)
        settings = _settings(config, labelled)
        if not config.overwrite:
            finished = workplace.finished_equal(records_dir, settings)
            if finished:
                workplace.remove_partial(partial)
                print(
                    f"{records_dir} holds these records already, as names and sizes "
                    "tell: nothing to do"
                )
                print_splits(finished)
                print_next(records_dir)
                return finished
        identity = {
            "settings": settings,
            "versions": codec_versions(),
            "command": config.command(),
        }
        if workplace.begin(partial, identity, config.overwrite):
            print(f"going on with the unfinished conversion in {records_dir}")
        manifest, num_scanned = _make_records(config, labelled, settings, partial)
        workplace.remove_partial(partial)
    print_summary(manifest, num_scanned, time.monotonic() - started)
    return manifest


def _settings(config: ConvertConfig, labelled: LabelledSources) -> dict[str, Any]:
    """Return everything that decides the records' bytes, for comparison and record."""
    names = labelled.class_names
    listed = [(s.key, s.place.size, s.label) for s in labelled.sources]
    digest = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    return {
        "format_version": manifests.FORMAT_VERSION,
        "dataset_name": config.dataset_name or default_dataset_name(names),
        "class_names": list(names),
        "validation_split": config.validation_split,
        "test_split": config.test_split,
        "num_shards": config.num_shards,
        "max_pixels": config.max_pixels,
        "min_side": config.min_side,
        "pictures": len(listed),
        "pictures_sha256": digest,
    }


def default_dataset_name(class_names: Sequence[str]) -> str:
    """Return a dataset name made of class names: letters, digits and underscores."""
    if tuple(class_names) == DOGS_VS_CATS:
        return "dogs_vs_cats"
    name = re.sub(r"[^a-zA-Z0-9]+", "_", "_vs_".join(class_names)).strip("_").lower()
    is_fit = len(class_names) <= 3 and name.isascii() and name[:1].isalpha()
    ascii_only = all(n.isascii() for n in class_names)
    return name if is_fit and ascii_only else f"pictures_of_{len(class_names)}_classes"


def _make_records(
    config: ConvertConfig,
    labelled: LabelledSources,
    settings: dict[str, Any],
    partial: Path,
) -> tuple[Manifest, int]:
    """Scan, plan, write shards, publish; return how many pictures were scanned now."""
    records_dir = partial.parent
    num_workers = config.num_workers or machine.usable_cores()
    blocks = scan.make_blocks(
        labelled.sources,
        partial / workplace.SCAN,
        config.max_pixels,
        config.min_side,
    )
    to_scan = [block for block in blocks if scan.read_journal(block) is None]
    _check_disk(records_dir, labelled, num_written=len(blocks) - len(to_scan))
    num_scanned = scan.scan_all(to_scan, num_workers)
    scanned = [row for block in blocks for row in scan.read_journal(block) or ()]
    rejects = write_rejects(partial, labelled.sources, scanned)
    limit = config.reject_limit(len(labelled.sources))
    if len(rejects) > limit:
        raise ValueError(
            f"rejects must be at most {limit:g} (--max_rejects), got {len(rejects):,}; "
            f"see {partial / manifests.REJECTS}, mend or remove the pictures, or give "
            "a higher limit to go on"
        )
    plan = make_plan(
        [row for row in scanned if not row.reason],
        labelled.class_names,
        dataset_name=settings["dataset_name"],
        validation_split=config.validation_split,
        test_split=config.test_split,
        num_shards=config.num_shards,
        shard_dir=partial / workplace.SHARDS,
    )
    for line in plan.notes:
        print(line)
    published_dir = records_dir if workplace.is_cleared(partial) else None
    try:
        results = shards.write_all(plan.jobs, num_workers, published_dir)
    except SourceChangedError as error:
        for block in blocks:
            if error.key in {source.key for source in block.sources}:
                block.journal.unlink()
        raise
    counts = count_pictures(plan, labelled.sources, rejects)
    return publish(partial, settings, plan, results, counts), num_scanned


def _check_disk(records_dir: Path, labelled: LabelledSources, num_written: int) -> None:
    """Refuse a disk that can't hold the shards; a kilobyte a record for the rest."""
    if num_written:
        return  # the first try looked, and has taken its share since
    num_bytes = sum(source.place.size + 1024 for source in labelled.sources)
    files.check_free_space(records_dir, num_bytes)
