"""Split finished records anew: another share for validation, or other pictures."""

import dataclasses

import numpy as np

from tfpipe.data import splits
from tfpipe.data.allotment import allot
from tfpipe.data.manifest import Manifest
from tfpipe.data.order import Ids
from tfpipe.data.streaming.store import RecordStore


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """Train, validation or test.

    Attributes:
        ids: source ids, int64 [n]; every prefix keeps the class shares.
        class_counts: pictures of each class, by label.
    """

    ids: Ids
    class_counts: tuple[int, ...]


def stored_splits(manifest: Manifest) -> dict[str, Split]:
    """Return the splits that the records were written in, by name."""
    found, start = {}, 0
    for name, size in manifest.split_sizes.items():
        by_class = manifest.counts["by_split"][name]
        found[name] = Split(
            ids=np.arange(start, start + size, dtype=np.int64),
            class_counts=tuple(int(by_class.get(c, 0)) for c in manifest.class_names),
        )
        start += size
    return found


def other_splits(
    store: RecordStore, validation_split: float, split_seed: int
) -> dict[str, Split]:
    """Return other splits of the same records: stratified, exact, groups whole.

    Test records stay test. Every other record is read once, for its key, label, group
    and the digest of its source.

    Args:
        store: the records.
        validation_split: validation's fraction of all records, in (0, 1); 0: as many
            as were stored.
        split_seed: another one puts other pictures into validation; 0 ranks pictures
            as the stored split does.

    Raises:
        ValueError: if train or validation is left without pictures, or a record is
            damaged.
    """
    sizes = store.manifest.split_sizes
    total = sum(sizes.values())
    names = [name for name, size in sizes.items() for _ in range(size)]
    rows = []
    for source_id in range(total):
        record = store.record(source_id)  # its picture isn't kept
        rows.append((record.file_name, record.label, record.sha256, record.group or ""))
    keys, labels, contents, groups = (
        list(column) for column in zip(*rows, strict=True)
    )
    allotment = allot(
        # The rank is a hash of the key; another seed makes another key of it.
        [_key(key, split_seed) for key in keys],
        labels,
        splits.find_groups(contents, groups),
        given=["test" if name == "test" else "" for name in names],
        validation_split=validation_split or sizes["validation"] / total,
        is_extension=True,
    )
    if not allotment.sizes["validation"]:
        raise ValueError(
            f"validation_split must give validation at least one picture, got "
            f"{validation_split} of {total:,}; give a larger one"
        )
    order = np.array(allotment.order, np.int64)
    found, start, num_classes = {}, 0, len(store.manifest.class_names)
    for name, size in allotment.sizes.items():
        ids = order[start : start + size]
        counts = np.bincount(np.array(labels)[ids], minlength=num_classes)
        found[name] = Split(ids=ids, class_counts=tuple(counts.tolist()))
        start += size
    return found


def _key(file_name: str, split_seed: int) -> str:
    return f"{split_seed}/{file_name}" if split_seed else file_name
