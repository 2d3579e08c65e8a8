"""The binary that answers pictures with a saved model."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfpipe.data.streaming.source import Source
from tfpipe.training.config import RunConfig
from tfpipe.training.run import train


@pytest.fixture(scope="module")
def run(records_dir, tmp_path_factory):
    """A finished run of one epoch."""
    config = RunConfig.of(
        records_dir=str(records_dir),
        runs_dir=str(tmp_path_factory.mktemp("runs")),
        model="small_cnn",
        image_size=16,
        batch_size=8,
        epochs=1,
    )
    return train(config, say=lambda line: None)


def predict(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "tfpipe.predict", *map(os.fspath, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.fspath(os.getcwd())},
        cwd=cwd,
    )


def test_answers_are_those_of_the_runs_own_evaluation(
    run, records_dir, image_dir, tmp_path
):
    store = Source(records_dir).store
    with np.load(run.folder / "predictions" / "step-5.npz") as stored:
        ids, top = stored["source_id"], stored["top_classes"][:, 0]
        probabilities = stored["top_probabilities"][:, 0]
    paths = [image_dir / store.record(int(i)).file_name for i in ids]
    out = tmp_path / "answers.csv"
    done = predict(run.folder / "last.keras", *paths, f"--out={out}", "--batch_size=4")
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == [str(path) for path in paths]
    names = run.facts["class_names"]
    assert [line[1] for line in lines] == [names[label] for label in top]
    found = [float(line[2]) for line in lines]
    np.testing.assert_allclose(found, probabilities.astype(float), atol=1e-3)
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == [line[1] for line in lines]
    for row in rows:
        assert sum(float(row[name]) for name in names) == pytest.approx(1, abs=1e-5)


def test_folders_other_formats_and_what_is_no_picture(run, image_dir, tmp_path):
    folder = tmp_path / "some"
    folder.mkdir()
    first = min(path for path in image_dir.rglob("*.jpg"))
    shutil.copy(first, folder / "b.jpg")
    Image.open(first).convert("RGBA").save(folder / "a.png")
    (folder / "c.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not looked at")
    out = tmp_path / "answers.json"
    done = predict(run.folder / "best.keras", folder, f"--out={out}")
    assert done.returncode == 2
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [
        str(folder / "a.png"),
        str(folder / "b.jpg"),
    ]
    (error,) = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
    assert "c.jpg must be a picture, got not_a_picture" in error
    answers = json.loads(out.read_text())
    assert [answer["picture"] for answer in answers] == [
        str(folder / "a.png"),
        str(folder / "b.jpg"),
    ]
    assert set(answers[0]["probabilities"]) == set(run.facts["class_names"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "arguments must be a model and pictures, got none"),
        (
            ("nothing.keras", "x.jpg"),
            "model must be a .keras file, got 'nothing.keras'",
        ),
        (
            ("{model}", "absent.jpg"),
            "picture must be a file or folder, got 'absent.jpg'",
        ),
        (("{model}", "{model}", "--out=x.txt"), "out must end in one of .csv, .json"),
    ],
)
def test_wrong_arguments_are_one_line(run, arguments, message):
    model = str(run.folder / "best.keras")
    done = predict(*(argument.format(model=model) for argument in arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_without_its_export_has_numbers_for_classes(run, image_dir, tmp_path):
    shutil.copy(run.folder / "last.keras", tmp_path)
    path = min(path for path in image_dir.rglob("*.jpg"))
    done = predict(tmp_path / "last.keras", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\t")[1] in ("0", "1")
