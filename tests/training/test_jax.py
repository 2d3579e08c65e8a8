"""Keras on JAX trains, evaluates, stops, goes on and logs as Keras on TensorFlow."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not importlib.util.find_spec("jax"), reason="needs the extra jax"
    ),
]

# Everything that has a state of its own: batch normalization, dropout.
OWN_MODEL = """
import keras
def net(image_shape, num_classes):
    return keras.Sequential([
        keras.Input(image_shape), keras.layers.AveragePooling2D(4),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.BatchNormalization(), keras.layers.Flatten(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(num_classes, activation="softmax")])
"""

TRAIN = """
import json, os, signal, sys
import keras
from tests.training.test_run import StopAt, digest
from tfpipe import RunConfig, train
assert keras.backend.backend() == "jax"
values = json.loads(sys.argv[1])
stops = [StopAt(values.pop("stop_at"))] if "stop_at" in values else []
try:
    record = train(RunConfig.of(**values), callbacks=stops)
except KeyboardInterrupt:
    sys.exit(130)
print(json.dumps({
    "digest": digest(record.folder), "status": record.status, "facts": record.facts,
    "evaluations": record.evaluations, "probes": record.probes}))
"""


@pytest.fixture
def run(records_dir, tmp_path):
    """Train on JAX in a process of its own; return what came of it, or exit code."""

    (tmp_path / "own_net.py").write_text(OWN_MODEL)
    path = os.pathsep.join([os.getcwd(), os.fspath(tmp_path)])

    def train(name, **values):
        values = {
            "records_dir": str(records_dir),
            "runs_dir": str(tmp_path / name),
            "model": "own_net:net",
            "image_size": 16,
            "batch_size": 8,
            "epochs": 2,
            "optimizer": "adam",
            "augment": ["flip"],
            **values,
        }
        done = subprocess.run(
            [sys.executable, "-c", TRAIN, json.dumps(values)],
            capture_output=True,
            text=True,
            env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": path},
        )
        if done.returncode:
            return done.returncode, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return train


def test_a_run_stops_and_goes_on_to_the_same_numbers(run):
    whole = run("whole")
    assert whole["status"]["status"] == "done"
    assert whole["facts"]["versions"]["keras_backend"] == "jax"
    assert [line["step"] for line in whole["probes"]] == [0, 1, 2, 4, 8]
    code, _ = run("parts", stop_at=3)
    assert code == 130
    assert run("parts")["digest"] == whole["digest"]


def test_all_diagnostics_are_measured(run):
    found = run("all", epochs=1, diagnostics="hessian")
    [line] = found["evaluations"]
    assert line["hessian_largest"] >= line["hessian_smallest"]
    assert line["distance"] > 0


def test_what_it_cannot_do_is_refused_by_name(run):
    code, errors = run("strict", determinism="strict")
    assert code == 1
    assert "determinism must be off or seeded with Keras on jax, got strict" in errors
