"""When a run is evaluated, and on which pictures."""

import numpy as np

from tfpipe.data import order
from tfpipe.data.order import Ids

PROBE_STEPS = (0, *(2**power for power in range(10)))
"""Updates after which a probe is taken: 0, 1, 2, 4 and so on up to 512."""
PROBE_EXAMPLES = 256
TRAIN_EXAMPLES = 1024


def probe_ids(ids: Ids) -> Ids:
    """Return the fixed pictures of a probe, at most a quarter of a split."""
    return _draw(ids, PROBE_EXAMPLES)


def train_eval_ids(ids: Ids) -> Ids:
    """Return the fixed train pictures that full evaluations pass in inference mode."""
    return _draw(ids, TRAIN_EXAMPLES)


def _draw(ids: Ids, most: int) -> Ids:
    """Return some of `ids`, the same for every run of these records.

    Not the first of a split: whole groups of pictures may stand there.
    """
    count = min(most, max(1, len(ids) // 4))
    return np.sort(order.epoch_order(ids, 0, 0)[:count])


def num_probes(first: int, last: int, steps_per_epoch: int) -> int:
    """Count the probes of a run from step `first` up to and without step `last`.

    A step that ends an epoch has a full evaluation in the place of a probe.
    """
    return sum(
        first <= step < last and (step == 0 or step % steps_per_epoch != 0)
        for step in PROBE_STEPS
    )
