"""Evaluate a model: every number comes from one pass of stored probabilities."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfpipe.base import files
from tfpipe.training import stages

TOP = 5
METRICS = ("loss", "accuracy", "top_5_accuracy", "balanced_accuracy", "macro_f1")
"""Of an evaluation; top_5_accuracy where there are more than 5 classes."""
KERAS1_NAMES = {"val_acc": "val_accuracy", "acc": "accuracy"}
MONITORS = (*(f"val_{name}" for name in METRICS), "loss", "accuracy", *KERAS1_NAMES)
"""What early stopping can watch."""
# Keras clips probabilities here before it takes logarithms.
KERAS_EPSILON = 1e-7


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one pass over a split gave."""

    source_ids: NDArray[np.int64]
    """[n]"""
    labels: NDArray[np.int64]
    """[n]"""
    probabilities: NDArray[np.float32]
    """[n, classes], each row summing to 1"""

    @property
    def true_probabilities(self) -> NDArray[np.float32]:
        """The probability given to each true class, float32 [n]."""
        return self.probabilities[np.arange(len(self.labels)), self.labels]

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats, clipped as Keras clips it."""
        clipped = np.clip(
            self.true_probabilities.astype(np.float64), KERAS_EPSILON, 1 - KERAS_EPSILON
        )
        return float(-np.log(clipped).mean())

    @property
    def accuracy(self) -> float:
        """Share of pictures whose most probable class is the true one."""
        return float((self.probabilities.argmax(axis=1) == self.labels).mean())

    @property
    def top_5_accuracy(self) -> float:
        """Share of pictures whose true class is among the five most probable."""
        true = self.true_probabilities[:, None]
        # Ties count as in Keras: classes of the same probability don't push it out.
        return float(((self.probabilities > true).sum(axis=1) < TOP).mean())

    @property
    def recalls(self) -> list[float | None]:
        """Share of each class's pictures that it is answered for, None without any."""
        right, true, _ = self._counts()
        return [r / t if t else None for r, t in zip(right, true, strict=True)]

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the recalls of the classes that have pictures."""
        return float(np.mean([recall for recall in self.recalls if recall is not None]))

    @property
    def macro_f1(self) -> float:
        """Mean over classes of 2 right / (true + answered).

        Over those that have pictures or are answered, as scikit-learn's `f1_score`.
        """
        found = [
            2 * r / (t + a) for r, t, a in zip(*self._counts(), strict=True) if t + a
        ]
        return float(np.mean(found))

    @property
    def logit_spread(self) -> float:
        """How much the answer depends on the picture: near 0, all get the same.

        The standard deviation over pictures of each class's logit, less the mean of
        the picture's logits, root of the mean of squares over classes. Of float32
        probabilities, whose logarithms these logits are.
        """
        least = np.finfo(np.float32).tiny
        logits = np.log(np.maximum(self.probabilities.astype(np.float64), least))
        logits -= logits.mean(axis=1, keepdims=True)
        return float(np.sqrt(logits.var(axis=0).mean()))

    def _counts(self) -> tuple[list[int], list[int], list[int]]:
        """Return the pictures answered rightly, true and answered, by label."""
        num_classes = self.num_classes
        answers = self.probabilities.argmax(axis=1)
        of = (self.labels[answers == self.labels], self.labels, answers)
        right, true, answered = (np.bincount(x, minlength=num_classes) for x in of)
        return right.tolist(), true.tolist(), answered.tolist()

    @property
    def metrics(self) -> dict[str, float]:
        """METRICS by name."""
        names = [n for n in METRICS if "top_5" not in n or self.num_classes > TOP]
        return {name: getattr(self, name) for name in names}

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return int(self.probabilities.shape[1])

    @property
    def predicted_shares(self) -> list[float]:
        """Share of pictures that each class is answered for, by label."""
        _, _, answered = self._counts()
        return [count / len(self.labels) for count in answered]


def metric_name(monitor: str) -> str:
    """Return today's name of a metric: val_acc is val_accuracy."""
    return KERAS1_NAMES.get(monitor, monitor)


def evaluate(
    predict: Callable[[Any], Any], batches: Any, after_batch: Callable[[], None]
) -> Evaluation:
    """Pass every batch through a model in inference mode.

    Args:
        predict: gives the probabilities [batch, classes] of pictures.
        batches: yields (pictures, one-hot labels, source ids).
        after_batch: called behind every batch; may raise to break off.
    """
    source_ids, labels, probabilities = [], [], []
    for pictures, one_hot, ids in batches:
        source_ids.append(np.asarray(ids))
        probabilities.append(np.asarray(predict(pictures), np.float32))
        labels.append(np.asarray(one_hot).argmax(axis=1))
        after_batch()
    return Evaluation(
        source_ids=np.concatenate(source_ids),
        labels=np.concatenate(labels),
        probabilities=np.concatenate(probabilities),
    )


def save_predictions(path: Path, evaluation: Evaluation) -> None:
    """Store one evaluation's predictions, at most 28 bytes a picture.

    Arrays: source_id uint32 [n], label uint16 [n], true_probability float16 [n],
    top_classes uint16 [n, k] and top_probabilities float16 [n, k], best first, k the
    smaller of 5 and the number of classes.
    """
    probabilities = evaluation.probabilities
    top = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    path.parent.mkdir(exist_ok=True)
    with files.open_aside(path) as file:
        np.savez(
            file,
            source_id=evaluation.source_ids.astype(np.uint32),
            label=evaluation.labels.astype(np.uint16),
            true_probability=evaluation.true_probabilities.astype(np.float16),
            top_classes=top.astype(np.uint16),
            top_probabilities=np.take_along_axis(probabilities, top, axis=1).astype(
                np.float16
            ),
        )


def describe_collapse(evaluation: Evaluation, class_names: tuple[str, ...]) -> str:
    """Say so where one class is answered for (nearly) every picture, else ""."""
    shares = evaluation.predicted_shares
    answered = int(np.argmax(shares))
    if shares[answered] < stages.DEFAULT.collapsed_share:
        return ""
    every = "every picture" if shares[answered] == 1 else f"{shares[answered]:.1%}"
    line = (
        f"{class_names[answered]!r} is answered for {every}: val_accuracy "
        f"{evaluation.accuracy:.4f} is the share of one class"
    )
    chance = float(np.log(len(class_names)))
    if abs(evaluation.loss - chance) < 0.02 * chance:
        line += (
            f", loss {evaluation.loss:.3f} is about ln {len(class_names)} = "
            f"{chance:.3f}: the run has not left its start"
        )
    return line
