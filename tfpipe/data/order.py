"""Which record comes when, from integers alone.

An epoch's order is a permutation computed from (seed, epoch) by hashing; it never
depends on memory, shards or parallelism, and numpy is enough to recompute it.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfpipe.base.seeds import derive_seed

Ids = NDArray[np.int64]


def epoch_order(source_ids: Ids, seed: int, epoch: int) -> Ids:
    """Return `source_ids` in the order of one epoch.

    Each id gets a 64-bit key, and sorting by key, then id, is the order. The key is
    the id-th output of `splitmix64` seeded with `derive_seed(seed, "order", epoch)`.

    Args:
        source_ids: int64 [n], the ids of a split.
        seed: the run's seed.
        epoch: 0-based.
    """
    state = np.uint64(derive_seed(seed, "order", epoch))
    keys = splitmix64(state, source_ids.astype(np.uint64))
    return source_ids[np.lexsort((source_ids, keys))]


def splitmix64(state: np.uint64, index: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return outputs number `index` of the generator SplitMix64 seeded with `state`.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA
    2014.
    """
    mixed = state + (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    keys: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return keys


def order_fingerprint(source_ids: Ids, augmentation_seed: int | None = None) -> str:
    """Return the sha256 of what an epoch delivered, 64 hexadecimal digits.

    It is over the ids as little-endian int64 and, where pictures were augmented, the
    epoch's seed as little-endian uint64.
    """
    digest = hashlib.sha256(source_ids.astype("<i8").tobytes())
    if augmentation_seed is not None:
        digest.update(augmentation_seed.to_bytes(8, "little"))
    return digest.hexdigest()


def check_delivered(source_ids: Any, expected: Ids) -> None:
    """Make sure that a batch holds the records that were asked for, in order.

    The ids of a batch come out of the records themselves.

    Raises:
        RuntimeError: where they don't agree.
    """
    if not np.array_equal(source_ids, expected):
        raise RuntimeError(
            f"a batch must hold the source ids {expected.tolist()}, got "
            f"{np.asarray(source_ids).tolist()}"
        )
