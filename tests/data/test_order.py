import hashlib

import numpy as np
import pytest

from tfpipe.base.seeds import derive_seed
from tfpipe.data import order

IDS = np.arange(1000, 1100, dtype=np.int64)
MASK = 2**64 - 1


def splitmix64(state):
    """The generator's next output, in Python integers."""
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & MASK
    return state ^ (state >> 31)


def test_an_order_can_be_recomputed_from_its_definition():
    state = derive_seed(3, "order", 7)
    keys = {
        i: splitmix64(state + (i + 1) * 0x9E3779B97F4A7C15 & MASK) for i in IDS.tolist()
    }
    expected = sorted(IDS.tolist(), key=lambda i: (keys[i], i))
    assert order.epoch_order(IDS, 3, 7).tolist() == expected


def test_splitmix64_is_the_published_generator():
    # The first outputs for seed 0, as in Vigna's reference implementation.
    got = order.splitmix64(np.uint64(0), np.arange(3, dtype=np.uint64))
    assert [int(value) for value in got] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


def test_every_epoch_and_every_seed_is_another_whole_permutation():
    orders = [order.epoch_order(IDS, s, e).tolist() for s in (0, 1) for e in (0, 1)]
    assert all(sorted(ids) == IDS.tolist() for ids in orders)
    assert len({tuple(ids) for ids in orders}) == 4


def test_places_are_uniform():
    firsts = [int(order.epoch_order(np.arange(4), 0, e)[0]) for e in range(4000)]
    shares = np.bincount(firsts, minlength=4) / 4000
    assert shares == pytest.approx([0.25] * 4, abs=0.03)


def test_the_fingerprint_is_sha256_of_little_endian_ids():
    ids = np.array([1, 258], dtype=np.int64)
    raw = b"\x01" + 7 * b"\x00" + b"\x02\x01" + 6 * b"\x00"
    assert order.order_fingerprint(ids) == hashlib.sha256(raw).hexdigest()
