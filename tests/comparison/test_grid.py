import json

import pytest

from tfpipe.base import settings
from tfpipe.comparison import study, study_file
from tfpipe.comparison.study import CompareConfig


@pytest.fixture
def write_study(tmp_path):
    """Give a function that writes entries, or a text, and returns the path."""

    def write(entries):
        path = tmp_path / "study.json"
        text = entries if isinstance(entries, str) else json.dumps(entries)
        path.write_text(text)
        return str(path)

    return write


def plan(**values):
    points = study.plan_points(settings.build_config(CompareConfig, values))
    return [point.config for point in points]


def changes(path):
    return [change.values for change in study_file.read_file(path)]


def test_lists_expand_to_all_combinations_the_last_fastest(write_study):
    path = write_study(
        [{"optimizer": ["sgd", "adam"], "batch_size": [8, 16], "learning_rate": 0.01}]
    )
    found = [
        (c["optimizer"], c["batch_size"], c["learning_rate"]) for c in changes(path)
    ]
    assert found == [
        ("sgd", 8, 0.01),
        ("sgd", 16, 0.01),
        ("adam", 8, 0.01),
        ("adam", 16, 0.01),
    ]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (["crop", "flip"], [("crop", "flip")]),
        ([["crop", "flip"]], [("crop", "flip")]),
        ([[], ["flip"]], [(), ("flip",)]),
        ([], [()]),
        ("flip", [("flip",)]),
    ],
)
def test_one_list_is_one_value_of_a_setting_that_is_a_list(write_study, value, found):
    path = write_study([{"optimizer": "sgd", "augment": value}])
    assert [change["augment"] for change in changes(path)] == found
    assert [run.data.augment for run in plan(study=path)] == found


def test_arguments_go_by_their_own_names_or_as_a_list(write_study):
    path = write_study(
        [
            {"optimizer": "sgd", "momentum": [0.5, 0.9], "nesterov": True},
            {"optimizer": "adam", "optimizer_args": [["beta_2=0.99"], []]},
            {"optimizer": "adam", "beta_1": 0.8, "optimizer_args": ["beta_2=0.99"]},
            {
                "optimizer": "sgd",
                "schedule": "piecewise",
                "boundaries": [5, 9],
                "values": [[1e-3, 1e-4], [1e-5, 1e-6]],
            },
        ]
    )
    runs = plan(study=path)
    assert [run.optimizer.optimizer_args for run in runs[:5]] == [
        ("momentum=0.5", "nesterov=true"),
        ("momentum=0.9", "nesterov=true"),
        ("beta_2=0.99",),
        (),
        ("beta_1=0.8", "beta_2=0.99"),
    ]
    assert [run.optimizer.schedule_args for run in runs[5:]] == [
        ("boundaries=5:9", "values=0.001:0.0001"),
        ("boundaries=5:9", "values=1e-05:1e-06"),
    ]


def test_grid_single_runs_and_file_add_up(write_study):
    path = write_study([{"model": ["small_cnn", "vgg16"]}])
    runs = plan(optimizers=("adam",), run=("sgd",), study=path, learning_rate=0.01)
    assert [run.optimizer.optimizer for run in runs] == [
        *("adam", "sgd", "rmsprop", "rmsprop")
    ]
    assert {run.optimizer.learning_rate for run in runs} == {0.01}
    assert runs[2].model.model == "small_cnn"
    runs = plan(optimizer="lion", study=path)
    assert [run.optimizer.optimizer for run in runs] == ["lion", "lion"]


def test_auto_starts_around_each_optimizers_own_centre(write_study):
    runs = plan(optimizers=("sgd", "lion"), learning_rates=("auto",))
    assert [run.optimizer.learning_rate for run in runs] == [
        *(0.001, 0.003, 0.01, 0.03, 0.1),
        *(1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3)[2:],
    ]
    path = write_study([{"optimizer": "sgd", "momentum": 0.9, "learning_rate": "auto"}])
    runs = plan(study=path, run=("sgd,learning_rate=auto",))
    assert len(runs) == 10
    faithful = plan(learning_rates=("auto",), faithful=True)
    assert {run.optimizer.optimizer for run in faithful} == {"rmsprop_keras2"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("[{]", r"study\.json must be a JSON list of objects, got Expecting"),
        ("{}", r"must be a JSON list of objects, got an object; write \["),
        ("[]", "must be a JSON list of objects, got an empty list"),
        ("3", "must be a JSON list of objects, got 3"),
        ([{}, 3], r"study\.json entry 2 must be an object, got 3"),
        (
            '[{"optimizer": "sgd", "optimizer": "adam"}]',
            "entry 1 must have optimizer once, got it twice",
        ),
        ([{"batch_size": []}], "must have a value for batch_size, got an empty list"),
        ([{"batch_size": {"a": 1}}], "got an object in batch_size; take it apart"),
        ([{"batch_size": [[8]]}], "got a list in batch_size"),
        ([{"augment": ["flip", ["crop"]]}], "one list or lists alone in augment"),
        ([{"augment": [[["crop"]]]}], "got a list in augment"),
        ([{"augment": 3}], "must have texts in augment, got 3"),
        ([{"optimizer": "adm"}], "entry 1: optimizer must be one of .*mean adam"),
        ([{"optimizer": 3}], "entry 1: optimizer must be text, got 3"),
        ([{}, {"batch_size": "8"}], "entry 2: batch_size must be a whole number"),
        ([{"learning_rate": "1e-3"}], "entry 1: learning_rate must be a number, got"),
        ([{"seed": [0, 1]}], "must leave seed out, got .*--replicates makes the seeds"),
        ([{"run_name": "x"}], "must leave run_name out, got 'x'; each run is named"),
        ([{"runs_dir": "x"}], "must leave runs_dir out, got 'x'; all runs stand"),
        ([{"overwrite": True}], "must leave overwrite out, got True; give --overwrite"),
        ([{"optimizer": "adam", "momentum": 0.9}], "got 'momentum=0.9'"),
        ([{"momentum": 0.9}], "of the optimizer or schedule that it names"),
        (
            [{"optimizer": "sgd", "schedule": "plateau", "patience": 3}],
            "whose patience",
        ),
        ([{"optimizer": "sgd", "batchsize": 3}], "did you mean batch_size"),
        ([{}, {}], "folder each, got rmsprop-lr0.0001-s0 twice"),
    ],
)
def test_errors_name_the_file_and_the_entry(write_study, entries, message):
    with pytest.raises(ValueError, match=message):
        plan(study=write_study(entries))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rates": ("auto", "0.1")}, "must be auto or numbers, got auto,0.1"),
        (
            {"optimizers": ("a.b:C",), "learning_rates": ("auto",)},
            "learning rates of a.b:C must be given, got auto",
        ),
        ({"vary_split": True}, "vary_split must have replicates to vary, got 1"),
        (
            {"vary_split": True, "replicates": 2, "run": ("sgd,split_seed=3",)},
            "split_seed must be the same for all configurations with vary_split, got",
        ),
    ],
)
def test_flags_that_do_not_fit_together_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        plan(**values)
