"""The numbers of the look at the data: classes, splits, sizes."""

import collections
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfpipe.data.conversion.scan import Scanned
from tfpipe.data.manifest import Manifest
from tfpipe.data.overview import parts
from tfpipe.data.overview.charts import histogram

MAX_CLASSES = 200  # in the table: half of them the largest, half the smallest
SIDES = (32, 64, 96, 128, 160, 224, 299, 384, 512)


def class_totals(manifest: Manifest) -> dict[str, int]:
    """Return how many pictures each class has, in label order."""
    totals = collections.Counter(dict.fromkeys(manifest.class_names, 0))
    for by_class in manifest.counts["by_split"].values():
        totals.update(by_class)
    return dict(totals)


def classes(manifest: Manifest) -> str:
    """Return the table of counts by class and split, and how the splits came."""
    by_split, sizes = manifest.counts["by_split"], manifest.split_sizes
    totals, written = class_totals(manifest), manifest.counts["written"]
    shown, note = set(totals), ""
    if len(totals) > MAX_CLASSES:
        half = MAX_CLASSES // 2
        by_size = sorted(totals, key=lambda name: -totals[name])
        shown = {*by_size[:half], *by_size[-half:]}
        note = (
            f"the {half} largest and the {half} smallest of {len(totals):,} classes; "
        )
    rows = [
        [
            str(label),
            parts.name(name),
            *(_part(by_split[split].get(name, 0), sizes[split]) for split in sizes),
            _part(total, written),
        ]
        for label, (name, total) in enumerate(totals.items())
        if name in shown
    ]
    last = [_part(size, written) for size in sizes.values()]
    rows.append(["", "all", *last, f"{written:,}"])
    head = ["label", "class", *map(parts.safe, sizes), "all"]
    lines = [
        parts.table(head, rows, numbers=range(2, len(head)), has_total=True),
        f'<p class="soft">Shown: {note}a class\'s pictures with its share of the '
        "split, and in the last line each split's share of all.</p>",
        f"<p>{_how_split(manifest)}</p>",
    ]
    return "\n".join(lines)


def _part(number: int, whole: int) -> str:
    return f'{number:,} <span class="soft">{parts.share(number, whole)}</span>'


def _how_split(manifest: Manifest) -> str:
    """Say how the splits came to be, and what knowing nothing scores on them."""
    settings = manifest.settings
    of = ""
    if settings["split_like"]:
        of = "pictures of the earlier records keep their split; of all, "
    elif settings["has_given_splits"]:
        of = "splits that the input gives are kept; of the rest, "
    lines = [
        f"Asked for: {of}validation {settings['validation_split']:g} and test "
        f"{settings['test_split']:g}. What is left is train."
    ]
    if manifest.counts["named_groups"]:
        number = parts.plural(manifest.counts["named_groups"], "named group")
        lines.append(f"{number} of two pictures or more: none is parted by a split.")
    for split, by_class in manifest.counts["by_split"].items():
        size = manifest.split_sizes[split]
        if split != "train" and size:
            name = max(by_class, key=by_class.__getitem__)
            lines.append(
                f"Always answering {parts.name(name)} is right for "
                f"{parts.share(by_class[name], size)} of {parts.safe(split)}."
            )
    return " ".join(lines)


def sizes(rows: Sequence[Scanned]) -> str:
    """Return how large the pictures are, in pixels and bytes, as they are written."""
    table = np.array([(r.width, r.height, r.stored.size) for r in rows], np.int64)
    width, height, num_bytes = table.T
    shorter = np.minimum(width, height)
    figures = [
        histogram(width, "width", "pixels"),
        histogram(height, "height", "pixels"),
        histogram(shorter, "shorter side", "pixels"),
        histogram(num_bytes, "stored size", "kB", divisor=1000),
    ]
    num_resized = sum(row.is_resized for row in rows)
    resized = f" {num_resized:,} were resized for them." if num_resized else ""
    return "\n".join(
        [
            f"<p>Of {parts.plural(len(rows), 'picture')} as they are in the records, "
            f"{num_bytes.sum() / 1e6:,.1f} MB together.{resized}</p>",
            f'<div class="charts">{"".join(figures)}</div>',
            _enlarged(shorter),
        ]
    )


def _enlarged(shorter: NDArray[np.int64]) -> str:
    """Say which training sizes ask for more pixels than pictures have."""
    smaller = {side: int((shorter < side).sum()) for side in SIDES}
    cells = [
        [f"{side}", f"{number:,}", parts.share(number, len(shorter))]
        for side, number in smaller.items()
        if 0 < number < len(shorter)
    ]
    if not cells:
        return ""
    head = ["side", "smaller pictures", "share"]
    return (
        "<p>Training at a side of so many pixels enlarges the pictures whose shorter "
        f"side has fewer:</p>\n{parts.table(head, cells, numbers=range(3))}"
    )
