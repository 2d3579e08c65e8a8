import json
from pathlib import Path

import pytest

from tfpipe.base import settings
from tfpipe.comparison import declaration, planning
from tfpipe.comparison.study import CompareConfig


def plan(tmp_path, **values):
    values = {"replicates": 2, "runs_dir": str(tmp_path / "runs"), **values}
    design = planning.design_study(settings.build_config(CompareConfig, values))
    return list(planning.plan_study(design).runs)


def write(tmp_path, reason="", **values):
    runs = plan(tmp_path, **values)
    runs_dir = tmp_path / "runs"
    declared = declaration.declare(runs, "d" * 64)
    declaration.write_declaration(runs_dir, declared, reason)
    return declaration.read_declaration(runs_dir)


def test_what_is_fixed_beforehand(tmp_path):
    found = write(tmp_path)
    declared = found["declared"]
    labels = ["rmsprop 1e-4", "adam 1e-4", "sgd 1e-4", "adam 1e-3"]
    assert list(declared["configurations"]) == labels, "in the order asked for"
    assert declared["seeds"] == [0, 1]
    assert len(declared["comparisons"]) == 6
    assert declared["targets"] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert declared["stages"]["escape_errors"] == 3
    assert (found["runs_begun_before"], found["changes"]) == (0, [])


def test_the_same_study_again_changes_nothing(tmp_path):
    first = write(tmp_path)
    assert write(tmp_path) == first


def test_the_same_study_in_another_order_is_no_change(tmp_path):
    first = write(tmp_path, optimizers=("adam", "sgd"))
    assert write(tmp_path, optimizers=("sgd", "adam")) == first


def test_another_one_is_noted_with_its_reason(tmp_path):
    first = write(tmp_path)
    found = write(tmp_path, reason="still improving", epochs=9)
    [change] = found["changes"]
    assert (change["reason"], change["different"]) == ("still improving", ["epochs"])
    assert found["declared"] == first["declared"]
    assert len(write(tmp_path, epochs=9)["changes"]) == 1


def test_a_change_is_told_before_it_is_made(tmp_path):
    runs_dir = tmp_path / "runs"

    def told(reason="", **values):
        declared = declaration.declare(plan(tmp_path, **values), "d" * 64)
        return declaration.describe_change(runs_dir, declared, reason)

    assert told() == told(reason="new") == ""
    write(tmp_path)
    assert told() == ""
    path = runs_dir / "study.json"
    assert told(reason="why") == (
        f"nothing is asked otherwise than in {path}: --reason isn't used"
    )
    asked = (
        f"this is another study than {path} declares, in epochs: to be noted there as "
        "a change, "
    )
    assert told(epochs=9) == f"{asked}without a reason; --reason gives one"
    assert told(epochs=9, reason="why") == f"{asked}with its reason"


def test_a_reason_that_was_forgotten_can_be_given_once(tmp_path):
    write(tmp_path)
    [change] = write(tmp_path, epochs=9)["changes"]
    assert change["reason"] == ""
    [change] = write(tmp_path, epochs=9, reason="still improving")["changes"]
    assert change["reason"] == "still improving"
    assert change["reason_time"] >= change["time"]
    [same] = write(tmp_path, epochs=9, reason="another one")["changes"]
    assert same == change


def test_runs_that_began_before_are_counted(tmp_path, write_run):
    write_run([0.6])
    assert write(tmp_path)["runs_begun_before"] == 1


@pytest.mark.parametrize("spelling", ["adam 1e-4", "adam 0.0001", "adam 1.0e-04"])
def test_a_baseline_is_compared_with_each(tmp_path, spelling):
    declared = declaration.declare(plan(tmp_path), "d" * 64, spelling)
    assert declared["baseline_run"] == "adam 1e-4"
    assert [pair[0] for pair in declared["comparisons"]] == ["adam 1e-4"] * 3


def test_a_baseline_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"baseline_run must be one of .* got 'lion'"):
        declaration.declare(plan(tmp_path), "d" * 64, "lion")


@pytest.mark.parametrize(
    ("replicates", "baseline", "words"),
    [
        (5, "", "5 replicates and 6 pairs: nothing can be significant; 8 replicates"),
        (
            8,
            "",
            "8 replicates and 6 pairs: the smallest p value they can give is 0.047",
        ),
        (
            1,
            "adam 1e-4",
            "1 replicate and 3 comparisons with the baseline: nothing can",
        ),
    ],
)
def test_what_it_can_show_is_said(tmp_path, replicates, baseline, words):
    runs = plan(tmp_path, replicates=replicates)
    declared = declaration.declare(runs, "d" * 64, baseline)
    assert declaration.describe_power(declared).startswith(words)


@pytest.mark.parametrize("how", ["epochs", "text"])
def test_a_declaration_that_was_edited_is_refused(tmp_path, how):
    write(tmp_path)
    path = Path(tmp_path / "runs" / declaration.FILE)
    study = json.loads(path.read_text())
    study["declared"]["epochs"] = 50
    path.write_text(json.dumps(study) if how == "epochs" else "{")
    with pytest.raises(ValueError, match="must be a declaration as it was written"):
        write(tmp_path)


def test_runs_that_a_change_drops_are_counted_too(tmp_path, write_run):
    write(tmp_path)
    for seed in (0, 7):  # of a seed that was never asked for, too
        write_run([0.6], optimizer="adam", seed=seed)
    write_run([0.6], optimizer="lion")
    [change] = write(tmp_path, optimizers=("rmsprop", "sgd"))["changes"]
    assert change["runs_begun_before"] == 2
