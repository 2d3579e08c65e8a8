"""Turn labelled pictures into records: scan, plan, shard jobs, publish."""

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipe.base import machine
from tfpipe.data import manifest as manifests
from tfpipe.data.conversion import workplace
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.course import Conversion
from tfpipe.data.conversion.publish import print_summary
from tfpipe.data.conversion.selection import Selection, select
from tfpipe.data.inputs.classes import DOGS_VS_CATS
from tfpipe.data.inputs.labels import label_sources
from tfpipe.data.inputs.sources import list_pictures, missing_pictures
from tfpipe.data.manifest import Manifest
from tfpipe.data.pictures import resampling
from tfpipe.data.pictures.codecs import codec_versions
from tfpipe.data.pool import Workers


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
    if config.split_like and records_dir.resolve() == Path(config.split_like).resolve():
        raise ValueError(
            f"split_like must be other records than records_dir, got {records_dir} for "
            "both; write the new ones into another folder"
        )
    try:
        # Workers first: forked while there are no pictures to share, and no lock.
        with (
            Workers(config.num_workers or machine.usable_cores()) as workers,
            workplace.open_records_dir(records_dir) as partial,
        ):
            done = _convert(config, partial, workers)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        raise
    manifest, num_scanned = done
    if num_scanned is not None:
        print_summary(manifest, num_scanned, time.monotonic() - started)
    return manifest


def _convert(
    config: ConvertConfig, partial: Path, workers: Workers
) -> tuple[Manifest, int | None]:
    """Convert; return the manifest, and how many were scanned, None if it was done."""
    records_dir = partial.parent
    try:
        selection = _find_sources(config, partial / workplace.SPOOL)
    except BaseException:
        if not workplace.is_begun(partial):  # nothing but what was unpacked
            workplace.remove_partial(partial)
        raise
    settings = _settings(config, selection)
    identity = {
        "settings": settings,
        "versions": codec_versions(),
        "command": config.command(),
    }
    conversion = Conversion(config, settings, selection, partial, workers)
    if not config.overwrite:
        finished = workplace.finished_equal(records_dir, settings)
        if finished:
            if workplace.is_begun(partial):
                workplace.refuse_other_work(partial, identity)
            conversion.mend(finished)
            return finished, None
    if not workplace.is_begun(partial):
        conversion.check_disk()  # the first try looked, and has taken its share
    if workplace.begin(partial, identity, config.overwrite):
        print(f"going on with the unfinished conversion in {records_dir}")
    manifest, num_scanned = conversion.make()
    workplace.remove_partial(partial)
    return manifest, num_scanned


def _find_sources(config: ConvertConfig, spool_dir: Path) -> Selection:
    """List, label and select the pictures; say what there is to say about that."""
    listing = list_pictures(Path(config.image_dir), spool_dir, config.zip_encoding)
    labelled = label_sources(listing, config.class_names)
    selection = select(labelled, config)
    notes = (*config.storing.notes, *listing.notes, *labelled.notes, *selection.notes)
    for note in notes:
        print(note)
    storing = config.storing
    resizes = storing.image_size and storing.resize_filter == "area"
    if resizes and not resampling.is_compiled():
        print(resampling.SLOW)
    return selection


def _settings(config: ConvertConfig, selection: Selection) -> dict[str, Any]:
    """Return everything that decides the records' bytes, for comparison and record."""
    names = selection.class_names
    digest = hashlib.sha256()
    for start in range(0, len(selection.sources), 1000):  # not all as one text
        lines = [
            (s.key, s.place.size, s.label, s.reason, s.split, s.group)
            for s in selection.sources[start : start + 1000]
        ]
        digest.update(json.dumps(lines).encode())
    return {
        "format_version": manifests.FORMAT_VERSION,
        "dataset_name": config.dataset_name or default_dataset_name(names),
        "class_names": list(names),
        **config.deciding(),
        **selection.facts,
        "has_given_splits": any(s.split for s in selection.sources),
        "num_pictures": len(selection.sources),
        "pictures_sha256": digest.hexdigest(),
    }


def default_dataset_name(class_names: Sequence[str]) -> str:
    """Return a dataset name made of class names: letters, digits and underscores."""
    if tuple(class_names) == DOGS_VS_CATS:
        return "dogs_vs_cats"
    name = re.sub(r"[^a-zA-Z0-9]+", "_", "_vs_".join(class_names)).strip("_").lower()
    is_fit = (
        len(class_names) <= 3
        and len(name) <= 60
        and name.isascii()
        and name[:1].isalpha()
    )
    ascii_only = all(n.isascii() for n in class_names)
    return name if is_fit and ascii_only else f"pictures_of_{len(class_names)}_classes"
