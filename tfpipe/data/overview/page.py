"""A look at the data before training: `report.html` in the records folder.

One page that needs nothing beside it. It shows what was found, written, changed and
rejected, how large the pictures are, which are there twice, and some of each class.
Equal records give an equal page: it knows no time and no place.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfpipe.base import files
from tfpipe.data.conversion.scan import Scanned
from tfpipe.data.manifest import REPORT, Manifest
from tfpipe.data.overview import numbers, parts, pictures, reasons
from tfpipe.data.overview.pictures import Group
from tfpipe.data.streaming.store import RecordStore

UNEVEN_CLASSES = 10  # times as many pictures
MANY_REJECTED = 0.05  # of those found
MAX_EMPTY = 10  # classes named in one warning


def write_overview(
    manifest: Manifest,
    rows: Sequence[Scanned],
    *,
    rejects: Sequence[Mapping[str, str]],
    versions: Mapping[str, str],
    num_pictures: int,
) -> None:
    """Write report.html into the records folder.

    Args:
        manifest: the facts; its shards and indexes are in place already.
        rows: the verdicts on the pictures written, in global order.
        rejects: the lines of rejects.jsonl.
        versions: of the libraries whose version can change stored bytes.
        num_pictures: at most so many of each class are shown; 0: a page without any
            picture.

    Raises:
        ValueError: if a record to be shown is damaged.
    """
    store = RecordStore(manifest, fetch="file") if num_pictures else None
    groups = pictures.describe_groups(manifest, rows)
    sheets = pictures.sheets(manifest, rows, num_pictures, store) if store else ""
    text = parts.page(
        f"{manifest.dataset_name}: the data",
        [_summary(manifest), *_warnings(manifest, groups)],
        {
            "Classes": numbers.classes(manifest),
            "Sizes": numbers.sizes(rows),
            "Normalised": reasons.normalised(manifest, rows),
            "Rejected": reasons.rejected(rejects),
            "Duplicates": pictures.duplicates(groups, store),
            "Pictures": sheets,
            "Settings": _settings(manifest, versions),
        },
    )
    files.write_bytes(manifest.records_dir / REPORT, text.encode())


def _summary(manifest: Manifest) -> str:
    counts = manifest.counts
    tiles = [f"<b>{counts['found']:,}</b><span>found</span>"]
    for word in ("written", "rejected", "normalised"):
        share = parts.share(counts[word], counts["found"])
        tiles.append(f"<b>{counts[word]:,}</b><span>{word}, {share}</span>")
    tiles.append(f"<b>{len(manifest.class_names):,}</b><span>classes</span>")
    return (
        f"<h1>{parts.name(manifest.dataset_name)}</h1>\n"
        '<p class="soft">A look at the data before training</p>\n'
        f'<ul class="tiles">{"".join(f"<li>{tile}</li>" for tile in tiles)}</ul>'
    )


def _warnings(manifest: Manifest, groups: Sequence[Group]) -> Iterator[str]:
    """Yield what a person should see to before training on these records."""
    counts, look = manifest.counts, '<a href="#duplicates">look at them</a>'
    num_wrong = sum(group.has_two_classes for group in groups)
    if num_wrong:
        yield parts.warning(
            f"{parts.plural(num_wrong, 'picture')} under more than one class:",
            f"at most one of the labels is right; {look}, and take out the wrong ones.",
        )
    num_leaks = sum(group.has_two_splits for group in groups)
    if num_leaks:
        yield parts.warning(
            f"{parts.plural(num_leaks, 'picture')} in more than one split:",
            f"what was trained on is evaluated on; {look}, and mend the splits.",
        )
    if moved := counts.get("moved"):
        names = [parts.name(key) for key in moved[:MAX_EMPTY]]
        num_more = len(moved) - len(names)
        names += [f"{num_more:,} more in metadata.json"] * bool(num_more)
        yield parts.warning(
            f"{parts.plural(len(moved), 'picture')} left the split given to them, "
            "because others of their group have another:",
            ", ".join(names),
        )
    for split, size in manifest.split_sizes.items():
        by_class = counts["by_split"][split]
        empty = [name for name in manifest.class_names if not by_class.get(name, 0)]
        if size and empty:
            names = [parts.name(name) for name in empty[:MAX_EMPTY]]
            num_more = len(empty) - len(names)
            names += [f"{num_more:,} more"] * bool(num_more)
            what = f"Classes without a picture in {parts.safe(split)}:"
            yield parts.warning(what, ", ".join(names))
    totals = collections.Counter(numbers.class_totals(manifest)).most_common()
    (largest, most), (smallest, least) = totals[0], totals[-1]
    if most >= UNEVEN_CLASSES * least:
        yield parts.warning(
            "Classes of very different size:",
            f"{parts.name(largest)} has {parts.plural(most, 'picture')}, "
            f"{parts.name(smallest)} has {least:,}.",
        )
    if counts["rejected"] >= MANY_REJECTED * counts["found"]:
        share = parts.share(counts["rejected"], counts["found"])
        yield parts.warning(
            f"{share} of the pictures are rejected:",
            '<a href="#rejected">see why</a>.',
        )


def _settings(manifest: Manifest, versions: Mapping[str, str]) -> str:
    rows = [[parts.word(n), parts.key(_shown(v))] for n, v in manifest.settings.items()]
    codecs = [[parts.word(n), parts.key(v)] for n, v in versions.items()]
    num_bytes = sum(shard.num_bytes for shard in manifest.shards)
    return "\n".join(
        [
            f"<p>{parts.plural(len(manifest.shards), 'shard')}, "
            f"{num_bytes / 1e6:,.1f} MB. The dataset fingerprint, the same wherever "
            "equal pictures are converted by equal settings:</p>",
            f"<p>{parts.key(manifest.fingerprint)}</p>",
            parts.table(["setting", "value"], rows),
            "<p>What decoded and encoded the pictures:</p>",
            parts.table(["library", "version"], codecs),
        ]
    )


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
