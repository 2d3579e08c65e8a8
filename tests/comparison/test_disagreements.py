import io
import json

import numpy as np
import pytest
from PIL import Image

from tfpipe.comparison import disagreements
from tfpipe.comparison.document import Pictures, Text
from tfpipe.data.conversion.selection import _read_keys
from tfpipe.data.manifest import read_manifest
from tfpipe.data.streaming.store import RecordStore
from tfpipe.training import measure, run_folder

FIRST = 39
"""The source id of the first of 13 validation pictures."""


@pytest.fixture
def write_answers(write_run, records_dir):
    """Give a function that writes a run with predictions of the shared records.

    `probabilities` are those of the true class, by the place in validation; 0.8
    elsewhere.
    """
    manifest = read_manifest(records_dir)
    store = RecordStore(manifest, fetch="file")
    ids = np.arange(FIRST, FIRST + 13)
    labels = np.array([store.record(int(i)).label for i in ids])

    def write(probabilities, accuracies=(0.8, 0.9), **values):
        facts = {"dataset_fingerprint": manifest.fingerprint}
        run = write_run(list(accuracies), facts=facts, **values)
        true = np.full(13, 0.8, np.float32)
        for place, probability in probabilities.items():
            true[place] = probability
        table = np.stack([1 - true, 1 - true], axis=1)
        table[np.arange(13), labels] = true
        evaluation = measure.Evaluation(
            source_ids=ids, labels=labels, probabilities=table
        )
        folder = run_folder.run_folder(run) / "predictions"
        measure.save_predictions(folder / "step-1172.npz", evaluation)
        return run

    return write


def find(make_analysis, runs, records_dir, num_pictures=2):
    return disagreements.find(make_analysis(runs), records_dir, num_pictures)


def test_disagreements_and_suspects_are_found(
    write_answers, make_analysis, records_dir
):
    runs = [
        # Of the best configuration two replicates: only where both are wrong.
        write_answers({3: 0.05, 5: 0.02, 7: 0.01}, (0.8, 0.95)),
        write_answers({3: 0.03, 5: 0.04, 7: 0.99}, (0.8, 0.95), seed=1),
        write_answers({3: 0.05, 9: 0.1}, optimizer="adam"),
        write_answers({9: 0.6, 0: 0.0}, (0.5, 0.5), optimizer="sgd"),
    ]
    # All of a configuration stand together.
    found = find(make_analysis, runs, records_dir)
    text, most, words, wrong, table = found.section.parts
    store = RecordStore(read_manifest(records_dir), fetch="file")
    keys = [store.record(FIRST + place).file_name for place in (3, 5, 7, 9)]
    assert list(found.suspects) == [keys[1], keys[0]]
    assert isinstance(text, Text) and isinstance(most, Pictures)
    shown = [picture.words for picture in most.pictures]
    # 5: 0.8 against 0.03; 9: 0.8 against 0.1; sgd never left its start.
    assert [line.partition(":")[0] for line in shown] == [keys[1], keys[3]]
    assert "0.800 by adam 1e-4, 0.030 by rmsprop 1e-4" in shown[0]
    assert (
        "rmsprop 1e-4, the best configuration, answers wrongly and most surely in 2 "
        in words.words
    )
    assert len(wrong.pictures) == 2
    assert [row[0] for row in table.rows] == [keys[1], keys[0]]
    assert table.rows[0][3] == "0.970"
    image = Image.open(io.BytesIO(wrong.pictures[0].jpeg))
    assert image.size == (24, 24)


def test_runs_that_are_wrong_in_different_ways_suspect_no_label(
    write_run, make_analysis
):
    """Of three classes: both wrong as one, each in its way, one of them right."""
    labels = np.zeros(3, np.int64)
    runs = []
    for seed, answers in enumerate(([1, 1, 1], [1, 2, 0])):
        run = write_run([0.8, 0.9], seed=seed)
        evaluation = measure.Evaluation(
            source_ids=np.arange(3),
            labels=labels,
            probabilities=np.full((3, 3), 0.01, np.float32) + 0.97 * np.eye(3)[answers],
        )
        folder = run_folder.run_folder(run) / "predictions"
        measure.save_predictions(folder / "step-1172.npz", evaluation)
        runs.append(run)
    [configuration] = make_analysis(runs).configurations
    found = disagreements.read_answers(configuration)
    assert list(found.all_wrong) == [True, False, False]


def test_no_picture_is_shown_where_none_is_wanted(
    write_answers, make_analysis, records_dir
):
    runs = [write_answers({3: 0.05}), write_answers({}, optimizer="adam")]
    for folder in (records_dir, records_dir / "absent"):
        found = find(make_analysis, runs, folder, num_pictures=0)
        assert (found.section.parts, found.suspects) == ([], ())


def test_where_nothing_is_wrong_it_is_said(write_answers, make_analysis, records_dir):
    runs = [write_answers({}), write_answers({}, optimizer="adam")]
    found = find(make_analysis, runs, records_dir)
    assert found.suspects == []
    assert "No picture is answered wrongly by 1 run of" in found.section.parts[-1].words


def test_one_configuration_disagrees_with_none(
    write_answers, make_analysis, records_dir
):
    found = find(make_analysis, [write_answers({})], records_dir)
    assert "none to disagree" in found.section.parts[0].words


def test_why_there_are_none_is_one_line(
    write_answers, write_run, make_analysis, records_dir, tmp_path
):
    answered = write_answers({})
    plain = write_run([0.8, 0.9], optimizer="adam")
    for runs, folder, line in (
        ([plain], records_dir, "No pictures: no run that left its start has stored"),
        ([answered], tmp_path / "no", "No pictures: records_dir must hold finished"),
        ([answered, plain], records_dir, "aren't those of the runs (fingerprint "),
    ):
        [text] = find(make_analysis, runs, folder).section.parts
        assert line in text.words
        assert "\n" not in text.words


def test_the_list_is_one_that_make_records_reads(tmp_path):
    keys = ["cat/1.jpg", " odd .jpg", "two\nlines.jpg", '{"key": "x"}', "\u732b.jpg"]
    path = tmp_path / disagreements.SUSPECTS
    path.write_text(disagreements.suspects_text(keys))
    assert _read_keys(path) == set(keys)
    assert json.loads(path.read_text().splitlines()[1]) == {"key": " odd .jpg"}
