"""Faults of a records folder: what is wrong, and where."""

import dataclasses
import reprlib
from collections.abc import Iterable
from typing import Any

NUM_SHOWN = 1000

_short = reprlib.Repr()
_short.maxstring, _short.maxother = 200, 80


def shown(value: Any) -> str:
    """Return `value` as text that is short and can't command a terminal."""
    return _short.repr(value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is not as it must be.

    Attributes:
        what: "<what> must be <expected>, got <value>".
        shard: the file's name, "" for what concerns the folder.
        record: 0-based place within the shard, -1 for what concerns all of it.
        offset: where the record begins in the shard, in bytes.
        key: the source's key, as far as it can be read.
    """

    what: str
    shard: str = ""
    record: int = -1
    offset: int = 0
    key: str = ""

    def __str__(self) -> str:
        place = self.shard
        if self.record >= 0:
            place = name_record(self.shard, self.record, self.offset, self.key)
        return f"{place}: {self.what}" if place else self.what


def name_record(shard: str, record: int, offset: int, key: str) -> str:
    """Return where a record is, for people."""
    name = f"record {record} of {shard} at offset {offset}"
    return f"{name}, key {shown(key)}" if key else name


@dataclasses.dataclass(kw_only=True)
class Faults:
    """The first faults in full, and how many there are: memory stays flat.

    Attributes:
        first: the first NUM_SHOWN.
        num: all of them.
        shards: the names of the shards that have any.
    """

    first: list[Fault] = dataclasses.field(default_factory=list)
    num: int = 0
    shards: set[str] = dataclasses.field(default_factory=set)

    def add(self, fault: Fault) -> None:
        """Count a fault, and keep it if it is one of the first."""
        if len(self.first) < NUM_SHOWN:
            self.first.append(fault)
        self.count(1, fault.shard)

    def count(self, num: int, shard: str) -> None:
        """Count `num` more faults of a shard without keeping them."""
        self.num += num
        if shard:
            self.shards.add(shard)

    def extend(self, faults: "Iterable[Fault] | Faults") -> None:
        """Add several, or those that another has seen."""
        if isinstance(faults, Faults):
            self.first += faults.first[: NUM_SHOWN - len(self.first)]
            self.num += faults.num
            self.shards |= faults.shards
        else:
            for fault in faults:
                self.add(fault)
