"""When a run is evaluated, and on which pictures."""

from tfpipe.data.order import Ids

PROBE_STEPS = (0, *(2**power for power in range(10)))
"""Updates after which a probe is taken: 0, 1, 2, 4 and so on up to 512."""
PROBE_EXAMPLES = 256
TRAIN_EXAMPLES = 1024


def probe_ids(ids: Ids) -> Ids:
    """Return the fixed pictures of a probe: a prefix, at most a quarter of a split.

    A prefix of a split's order keeps its class shares.
    """
    return ids[: min(PROBE_EXAMPLES, max(1, len(ids) // 4))]


def train_eval_ids(ids: Ids) -> Ids:
    """Return the fixed train pictures that full evaluations pass in inference mode."""
    return ids[: min(TRAIN_EXAMPLES, max(1, len(ids) // 4))]


def num_probes(first: int, last: int, steps_per_epoch: int) -> int:
    """Count the probes of a run from step `first` up to and without step `last`.

    A step that ends an epoch has a full evaluation in the place of a probe.
    """
    return sum(
        first <= step < last and (step == 0 or step % steps_per_epoch != 0)
        for step in PROBE_STEPS
    )
