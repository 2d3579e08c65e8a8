"""Derive every random stream of a run from its one seed, by name.

Streams are independent: drawing from one never moves another, and nothing is global.
"""

import hashlib


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a 64-bit seed for the stream `names` of the root `seed`.

    The value is the first 8 bytes, little-endian, of sha256 over the decimal seed and
    the names joined by "/", so that anyone can recompute it.
    """
    path = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "little")
