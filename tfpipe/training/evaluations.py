"""Evaluate a run under way: probes and full evaluations, on fixed pictures."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from tfpipe.data import order
from tfpipe.data.order import Ids
from tfpipe.data.streaming.pipeline import Batches
from tfpipe.data.streaming.source import Source
from tfpipe.training import devices, measure, moments, run_folder, updates
from tfpipe.training.activity import WatchedModel
from tfpipe.training.measure import Evaluation


class Evaluator:
    """The evaluations of one run; none of them changes what is trained.

    Args:
        model: compiled with its optimizer, whose averages stand in where it has some.
        splits: source ids of validation and, where there is one, of test.
        batches: makes batches of source ids.
        train_ids: what is trained on.
        folder: the run's, for predictions.
    """

    def __init__(
        self,
        model: keras.Model,
        splits: dict[str, Ids],
        batches: Batches,
        train_ids: Ids,
        folder: Path,
    ) -> None:
        self._model, self._batches, self._folder = model, batches, folder
        self._watched = WatchedModel(model)
        self.splits = splits
        self._train_ids = moments.train_eval_ids(train_ids)
        self._datasets: dict[bytes, Any] = {}

    def probe(self, after_batch: Callable[[], None]) -> dict[str, Any]:
        """Return the fields of a probe, a quick look at fixed pictures.

        `after_batch` is called behind every batch, and may raise to break off.
        """
        self._after_batch = after_batch
        with updates.averaged_weights(self._model, self._model.optimizer):
            validation = self._pass(moments.probe_ids(self.splits["validation"]))
            train = self._pass_train(moments.probe_ids(self._train_ids))
        return {
            "kind": "probe",
            "num_examples": len(validation.labels),
            "val_loss": validation.loss,
            "val_accuracy": validation.accuracy,
            **self._describe(validation, train),
        }

    def full(
        self, step: int, after_batch: Callable[[], None]
    ) -> tuple[Evaluation, dict[str, Any]]:
        """Return the evaluation of all of validation, and the fields of its line.

        Test is evaluated, too, where there is one. Predictions of both are stored,
        if they are finite.
        """
        self._after_batch = after_batch
        found = {}
        with updates.averaged_weights(self._model, self._model.optimizer):
            for split, ids in self.splits.items():
                found[split] = self._pass(ids)
            train = self._pass_train(self._train_ids)
        is_finite = all(math.isfinite(found[split].loss) for split in found)
        for split, evaluation in found.items() if is_finite else ():
            part = "" if split == "validation" else f"-{split}"
            name = f"step-{step}{part}.npz"
            path = self._folder / run_folder.PREDICTIONS / name
            measure.save_predictions(path, evaluation)
        validation, test = found["validation"], found.get("test")
        metrics = {f"val_{name}": value for name, value in validation.metrics.items()}
        if test:
            metrics |= {f"test_{name}": value for name, value in test.metrics.items()}
        return validation, {
            "kind": "full",
            **metrics,
            "val_recalls": validation.recalls,
            **self._describe(validation, train),
        }

    def num_batches(self, kind: str) -> int:
        """Return the batches that an evaluation of a kind, full or probe, takes."""
        passes = [*self.splits.values(), self._train_ids]
        if kind == "probe":
            passes = [self.splits["validation"], self._train_ids]
            passes = [moments.probe_ids(ids) for ids in passes]
        return sum(-(-len(ids) // self._batches.batch_size) for ids in passes)

    def _describe(self, validation: Evaluation, train: Evaluation) -> dict[str, Any]:
        return {
            "train_eval_loss": train.loss,
            "train_eval_accuracy": train.accuracy,
            "predicted_shares": validation.predicted_shares,
            "logit_spread": validation.logit_spread,
            "dead_units": self._watched.dead_units(),
        }

    def _pass_train(self, ids: Ids) -> Evaluation:
        self._watched.begin()
        return self._pass(ids, self._watched.predict)

    def _pass(
        self, ids: Ids, predict: Callable[[Any], Any] | None = None
    ) -> Evaluation:
        predict = predict or self._model.predict_on_batch
        # To describe a dataset takes TensorFlow as long as to stream a small one.
        key = ids.tobytes()
        if key not in self._datasets:
            self._datasets[key] = self._batches.dataset(ids, with_ids=True)
        with self._batches.loader.faults_by_name():
            evaluation = measure.evaluate(
                lambda pictures: predict(devices.as_input(pictures)),
                self._datasets[key],
                self._after_batch,
            )
        order.check_delivered(evaluation.source_ids, ids)
        return evaluation


def held_out(source: Source) -> dict[str, Ids]:
    """Return the source ids of validation and, where it has pictures, of test."""
    names = [name for name in ("validation", "test") if name in source.splits]
    found = {name: source.split_ids(name) for name in names}
    return {name: ids for name, ids in found.items() if len(ids)}
