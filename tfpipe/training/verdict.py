"""Say at the end of a training whether the input or the model set its pace."""

import dataclasses
import time
from typing import Any

# From this share of waiting on, faster input would be noticed.
NOTICED_SHARE = 0.03
LEAST_STEPS = 10  # fewer say nothing
PROBE_SECONDS, PROBE_BATCHES = 2.0, 100


@dataclasses.dataclass
class Clock:
    """Seconds of the steps of one session, its first two left out: they warm up.

    Attributes:
        num_steps: taken, the first two included.
        num_examples: pictures trained on in the steps that count.
        waiting_seconds: of these steps, until their batch was there.
        step_seconds: of these steps, without waiting.
    """

    num_steps: int = 0
    num_examples: int = 0
    waiting_seconds: float = 0.0
    step_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Images/s of training, waiting for input included; of steps that count."""
        return self.num_examples / (self.waiting_seconds + self.step_seconds)

    def add(self, num_examples: int, waiting: float, step: float) -> None:
        """Count one step."""
        self.num_steps += 1
        if self.num_steps > 2:
            self.num_examples += num_examples
            self.waiting_seconds += waiting
            self.step_seconds += step


def measure_input(dataset: Any) -> float:
    """Return the images/s that a dataset delivers to someone who only takes them.

    From the first batch to the last; 0.0 if there are fewer than two.
    """
    batches = iter(dataset)
    if next(batches, None) is None:
        return 0.0
    start, count = time.perf_counter(), 0
    seconds = 0.0
    for _, batch in zip(range(PROBE_BATCHES), batches, strict=False):
        count += len(batch[0])
        seconds = time.perf_counter() - start
        if seconds > PROBE_SECONDS:
            break
    return count / seconds if count else 0.0


def judge(clock: Clock, input_rate: float) -> dict[str, float]:
    """Return the numbers behind the verdict, for status.json; {} without any steps."""
    whole = clock.waiting_seconds + clock.step_seconds
    if not clock.num_examples or not input_rate:
        return {}
    return {
        "input_images_per_second": round(input_rate, 1),
        "train_images_per_second": round(clock.num_examples / whole, 1),
        "waiting_seconds": round(clock.waiting_seconds, 3),
        "step_seconds": round(clock.step_seconds, 3),
    }


def describe(numbers: dict[str, float], advice: str) -> str:
    """Return the verdict as one line.

    Args:
        numbers: of `judge`, not empty.
        advice: what would make the input faster.
    """
    waiting = numbers["waiting_seconds"]
    share = waiting / (waiting + numbers["step_seconds"])
    line = (
        f"input alone {numbers['input_images_per_second']:,.0f} images/s, training "
        f"{numbers['train_images_per_second']:,.0f} images/s, {share:.1%} of it spent "
        "waiting for input: "
    )
    if share < NOTICED_SHARE:
        return f"{line}compute-bound; faster input would change nothing"
    kind = "input-bound" if share > 0.5 else "mostly compute-bound"
    return f"{line}{kind}; {advice}"
