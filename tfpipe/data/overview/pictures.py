"""The pictures of the look at the data: those there twice, and some of each class."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tfpipe.data.conversion.scan import Scanned
from tfpipe.data.manifest import Manifest
from tfpipe.data.order import Ids
from tfpipe.data.overview import parts
from tfpipe.data.streaming.store import RecordStore

MAX_GROUPS, MAX_MEMBERS = 20, 12
MAX_PICTURES = 300  # of all classes together: at about 5 kB each, half the page's 3 MB
CAPTION_LIMIT = 44  # characters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """One picture of a group of byte-identical ones."""

    key: str
    class_name: str
    split: str
    source_id: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Byte-identical pictures."""

    members: tuple[Member, ...]

    @property
    def has_two_classes(self) -> bool:
        """Tell whether they stand under more than one class."""
        return len({member.class_name for member in self.members}) > 1

    @property
    def has_two_splits(self) -> bool:
        """Tell whether they stand in more than one split."""
        return len({member.split for member in self.members}) > 1


def describe_groups(manifest: Manifest, rows: Sequence[Scanned]) -> list[Group]:
    """Return the groups of byte-identical pictures: wrong ones first, then by key.

    `rows` are all that is written, in global order.
    """
    keys = manifest.counts["duplicate_groups"]
    wanted = {key for group in keys for key in group}
    splits = (s for s, size in manifest.split_sizes.items() for _ in range(size))
    members = {
        row.key: Member(
            key=row.key,
            class_name=manifest.class_names[row.label],
            split=split,
            source_id=source_id,
        )
        for source_id, (row, split) in enumerate(zip(rows, splits, strict=True))
        if row.key in wanted
    }
    groups = [Group(members=tuple(members[key] for key in group)) for group in keys]
    return sorted(
        groups,
        key=lambda group: (
            not group.has_two_classes,
            not group.has_two_splits,
            group.members[0].key,
        ),
    )


def duplicates(groups: Sequence[Group], store: RecordStore | None) -> str:
    """Return the first groups, each with its picture unless `store` is None."""
    if not groups:
        return "<p>None: no two pictures have the same bytes.</p>"
    num_pictures = sum(len(group.members) for group in groups)
    sections = [
        f"<p>{parts.plural(num_pictures, 'picture')} in "
        f"{parts.plural(len(groups), 'group')}: those of a group have the same bytes."
        "</p>",
        *(_group(group, store) for group in groups[:MAX_GROUPS]),
    ]
    if len(groups) > MAX_GROUPS:
        number = parts.plural(len(groups) - MAX_GROUPS, "more group")
        sections.append(
            f"<p>and {number}, listed in {parts.word('metadata.json')} under "
            f"{parts.word('duplicate_groups')}</p>"
        )
    return "\n".join(sections)


def _group(group: Group, store: RecordStore | None) -> str:
    first = group.members[0]
    image = ""
    if store:
        alt = f"{len(group.members)} pictures such as {first.key}"
        image = parts.thumbnail(store.record(first.source_id), alt)
    flags = ["under two classes"] * group.has_two_classes
    flags += ["in two splits"] * group.has_two_splits
    flag = f"<p><b>The same bytes {' and '.join(flags)}</b></p>" if flags else ""
    items = [
        f"<li>{parts.key(member.key)} "
        f'<span class="soft">{parts.name(member.class_name)}, '
        f"{parts.safe(member.split)}</span></li>"
        for member in group.members[:MAX_MEMBERS]
    ]
    num_more = len(group.members) - len(items)
    if num_more:
        items.append(f"<li>and {num_more:,} more</li>")
    kind = "group flagged" if flags else "group"
    return (
        f'<div class="{kind}">{image}<div>{flag}<ul>{"".join(items)}</ul></div></div>'
    )


def sheets(
    manifest: Manifest, rows: Sequence[Scanned], num_pictures: int, store: RecordStore
) -> str:
    """Return some pictures of each class in train, evenly spaced over its records.

    Of many classes fewer than `num_pictures` each are shown, and of more than
    MAX_PICTURES classes the first.
    """
    names = manifest.class_names
    num_each = max(1, min(num_pictures, MAX_PICTURES // len(names)))
    num_train = manifest.split_sizes["train"]
    labels = np.array([row.label for row in rows[:num_train]], np.int64)
    sections = []
    for label, name in enumerate(names[:MAX_PICTURES]):
        ids = np.flatnonzero(labels == label)
        num_shown = min(num_each, len(ids))
        shown = ids[np.arange(num_shown) * len(ids) // max(num_shown, 1)]
        sections.append(
            f"<h3>{parts.name(name)} <small>{len(shown):,} of {len(ids):,} in train"
            "</small></h3>"
        )
        sections.append(
            f'<div class="sheet">{"".join(_figures(shown, name, store))}</div>'
        )
    if len(names) > MAX_PICTURES:
        sections.append(f"<p>and {len(names) - MAX_PICTURES:,} more classes</p>")
    return "\n".join(sections)


def _figures(source_ids: Ids, class_name: str, store: RecordStore) -> Iterator[str]:
    for source_id in source_ids.tolist():
        record = store.record(source_id)
        image = parts.thumbnail(record, f"{class_name}: {record.file_name}")
        yield (
            f'<figure title="{parts.safe(record.file_name)}">'
            f'<div class="frame">{image}</div>'
            f"<figcaption>{parts.key(record.file_name, CAPTION_LIMIT)}</figcaption>"
            "</figure>"
        )
