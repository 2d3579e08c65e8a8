"""Where a run stands: all of its state that isn't a variable."""

import dataclasses
from typing import Any


@dataclasses.dataclass
class Position:
    """Where a run stands, and the sums that its epoch's means come from."""

    epoch: int = 0
    """Completed epochs."""
    epoch_step: int = 0
    """Steps done in the epoch under way."""
    step: int = 0
    """Updates in all."""
    loss_sum: float = 0.0
    num_correct: int = 0
    num_examples: int = 0
    evaluated_step: int = -1
    """The step of the last evaluation, probe or full; -1 before the first."""
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    """Of the whole run by part, see `clocks`, without what a kill lost."""
    epoch_began_seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    """What `seconds` were when the epoch under way began."""
    best_val_accuracy: float = -1.0
    metrics_bytes: int = 0
    steps_bytes: int = 0
    stopping: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Counters of early stopping."""
    plateau: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Counters of the schedule "plateau"."""
    ended: str = ""
    """The status that ended the run before its last epoch, if one did."""
    reason: str = ""

    def begin_epoch(self, seconds: dict[str, float]) -> None:
        """Start the next epoch's counts and sums; `seconds` are those until now."""
        self.epoch_step = self.num_correct = self.num_examples = 0
        self.loss_sum = 0.0
        self.epoch_began_seconds = seconds
