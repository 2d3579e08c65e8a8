import math

import pytest

from tfpipe.base import settings
from tfpipe.comparison import (
    certificate,
    chosen,
    configurations,
    content,
    declaration,
    findings,
    methods,
    planning,
    results,
    study,
)
from tfpipe.comparison.document import Bullets
from tfpipe.comparison.labels import configuration_labels, replicate_labels
from tfpipe.comparison.study import CompareConfig
from tfpipe.training.naming import run_name

AUTO = {"optimizers": ("sgd", "adam"), "learning_rates": ("auto",)}
GIVEN = {"optimizers": ("sgd", "adam"), "learning_rates": ("1e-3", "0.01")}


@pytest.fixture
def design(tmp_path):
    """Give a function that designs a study of flags."""

    def build(**values):
        values = {"runs_dir": str(tmp_path / "runs"), **values}
        return planning.design_study(settings.build_config(CompareConfig, values))

    return build


@pytest.fixture
def train(write_run):
    """Give a function that writes runs of a plan that aren't there yet.

    Accuracy is highest at 0.3 for sgd, at 1e-3 for the others; more by 0.001 a seed.
    """

    def accuracy(run):
        best = {"sgd": 0.3}.get(run.optimizer.optimizer, 1e-3)
        away = abs(round(2 * math.log10(run.optimizer.learning_rate / best)))
        return 0.9 - 0.02 * away + 0.001 * run.run.seed

    def write(plan, status="done"):
        for run in plan.runs:
            if not study.find_finished(run):
                values = settings.flatten(run)
                del values["runs_dir"]
                write_run([0.5] * 3 + [accuracy(run)] * 2, status=status, **values)

    return write


def follow(design, train):
    """Train until nothing follows; return the plans."""
    plans = [planning.plan_study(design)]
    while True:
        train(plans[-1])
        plan = planning.plan_study(design)
        if plan.runs == plans[-1].runs:
            return [*plans, plan]
        plans.append(plan)


def rates_of(runs, optimizer):
    found = [
        r.optimizer.learning_rate for r in runs if r.optimizer.optimizer == optimizer
    ]
    return sorted(set(found))


def test_a_study_without_a_search_is_its_runs(design, tmp_path):
    values = {**GIVEN, "replicates": 2, "runs_dir": str(tmp_path / "runs")}
    plan = planning.plan_study(design(**values))
    configs = [
        p.config
        for p in study.plan_points(settings.build_config(CompareConfig, values))
    ]
    replicates = study.replicate(configs, range(2), vary_split=False)
    assert plan.runs == plan.compared == tuple(replicates)
    assert (plan.is_whole, plan.lines, plan.tuning) == (True, (), ())


def test_auto_goes_on_until_the_best_is_inside_with_equal_trials(design, train):
    plans = follow(design(**AUTO, replicates=2), train)
    assert [len(plan.runs) for plan in plans] == [20, 28, 28]
    first, second, last = plans
    assert not first.is_whole
    assert second.runs[:20] == first.runs
    assert [run.run.seed for run in second.runs[20:24]] == [0, 1, 0, 1]
    assert last.is_whole
    assert rates_of(last.compared, "sgd") == [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
    # adam's best was its centre: as many more, below.
    assert rates_of(last.compared, "adam") == [
        *(1e-5, 3e-5, 1e-4, 3e-4, 0.001, 0.003, 0.01)
    ]
    assert last.lines[: len(second.lines)] == second.lines
    assert last.lines[-2] == "sgd: the best of 7 rates of 1e-3 to 1 is 0.3 (0.9005)"


def test_the_same_command_plans_the_same_runs_wherever_it_was_stopped(
    design, train, write_run
):
    asked = design(**AUTO)
    plan = planning.plan_study(asked)
    train(plan)
    more = planning.plan_study(asked)
    run = more.runs[-1]
    write_run(
        [0.5],
        status="interrupted",
        **{k: v for k, v in settings.flatten(run).items() if k != "runs_dir"},
    )
    assert planning.plan_study(asked) == more
    assert not more.is_whole


@pytest.mark.parametrize("before", [[], [0.9, 0.9]], ids=["at once", "late"])
def test_a_rate_that_diverged_is_chosen_for_nothing_it_was_before(
    design, write_run, before
):
    asked = design(optimizers=("sgd",), learning_rates=("auto",))
    for number, run in enumerate(planning.plan_study(asked).runs):
        values = {k: v for k, v in settings.flatten(run).items() if k != "runs_dir"}
        diverged = number == 4
        # 3188 of 6250 are of the larger class: the others answer the smaller one.
        accuracies = before if diverged else [0.4899] * 5
        write_run(accuracies, status="diverged" if diverged else "done", **values)
    [line] = planning.plan_study(asked).lines
    assert line.startswith("sgd: the best of 5 rates of 1e-3 to 0.1 is 0.01 (0.4899)")


def test_a_failed_run_leaves_rates_unchosen(design, train):
    asked = design(**GIVEN, tune=True)
    plan = planning.plan_study(asked)
    train(plan, status="failed")
    assert planning.plan_study(asked) == plan
    assert (plan.is_whole, plan.compared) == (False, ())


def test_tuning_chooses_once_and_compares_fresh_seeds(design, train):
    asked = design(**GIVEN, tune=True, replicates=3, seed=7)
    first, second, last = follow(asked, train)
    assert {run.run.seed for run in first.runs} == {7}
    assert first.tuning == first.runs
    names = [run_name(run) for run in last.compared]
    assert names == [
        f"{name}-s{seed}"
        for seed in (8, 9, 10)
        for name in ("sgd-lr0.01", "adam-lr0.001")
    ]
    assert last.runs == (*first.runs, *last.compared)
    assert (second.is_whole, last.is_whole) == (True, True)
    assert last.lines[-1] == (
        "trained again with fresh seeds, and compared: sgd 0.01, adam 1e-3; "
        "seeds 8 to 10"
    )


def test_auto_and_tuning_go_together(design, train):
    last = follow(design(**AUTO, tune=True, replicates=2), train)[-1]
    assert len(last.tuning) == 14
    assert rates_of(last.compared, "sgd") == [0.3]
    assert {run.run.seed for run in last.compared} == {1, 2}


def test_overwriting_counts_only_what_this_command_trained(design, train):
    plan = planning.plan_study(design(**GIVEN, tune=True))
    train(plan)
    asked = design(**GIVEN, tune=True, overwrite=True)
    again = planning.plan_study(asked)
    assert not again.is_whole
    assert planning.plan_study(asked, again.runs[1:]) == again
    assert planning.plan_study(asked, again.runs).is_whole


def test_what_is_fixed_stands_beside_a_search(design, train):
    asked = design(**AUTO, run=("rmsprop,batch_size=8",), replicates=2)
    assert [family.name for family in asked.families] == [
        "sgd batch_size=32",
        "adam batch_size=32",
    ]
    last = follow(asked, train)[-1]
    assert len(last.compared) == 14 * 2 + 2
    declared = declaration.declare(asked.candidates, "d" * 64, "", asked)
    assert list(declared["configurations"]) == [
        "best of sgd batch_size=32",
        "best of adam batch_size=32",
        "rmsprop 1e-4 batch_size=8",
    ]
    found = results.read_results(last.compared)
    assert chosen.resolve(declared, found).declared["comparisons"] == [
        ["sgd 0.3 batch_size=32", "adam 1e-3 batch_size=32"],
        ["sgd 0.3 batch_size=32", "rmsprop 1e-4 batch_size=8"],
        ["adam 1e-3 batch_size=32", "rmsprop 1e-4 batch_size=8"],
    ]


def test_replicates_of_other_splits_are_one_configuration(design, train):
    asked = design(**GIVEN, replicates=3, vary_split=True, split_seed=4)
    [line] = planning.plan_study(asked).lines
    assert line == (
        "each replicate has a split of its own, split_seeds 4 to 6, as many of the "
        "records for validation as they were written with"
    )
    last = follow(asked, train)[-1]
    splits = {(run.run.seed, run.data.split_seed) for run in last.runs}
    assert splits == {(0, 4), (1, 5), (2, 6)}
    labels = replicate_labels(last.runs)
    assert labels[:4] * 3 == labels
    assert labels[:4] == ["sgd 1e-3", "sgd 0.01", "adam 1e-3", "adam 0.01"]
    assert configuration_labels(last.runs)[4] == "sgd 1e-3 seed=1"
    declared = declaration.declare(asked.candidates, "d" * 64, "adam 1e-3", asked)
    assert list(declared["configurations"]) == labels[:4]
    assert declared["split_seeds"] == [4, 5, 6]
    found = results.read_results(last.compared)
    groups = configurations.group_runs(found, chosen.resolve(declared, found).declared)
    assert [(name, len(group)) for name, group in groups.items()] == [
        (label, 3) for label in labels[:4]
    ]


def test_a_split_that_is_a_factor_tells_configurations_apart(design):
    asked = design(run=("sgd", "sgd,split_seed=1"), replicates=2)
    labels = replicate_labels(planning.plan_study(asked).runs)
    assert labels == ["sgd 1e-4 split_seed=0", "sgd 1e-4 split_seed=1"] * 2


def test_tuning_draws_fresh_splits_with_fresh_seeds(design, train):
    asked = design(**GIVEN, tune=True, vary_split=True, validation_split=0.2)
    last = follow(asked, train)[-1]
    assert {run.data.split_seed for run in last.tuning} == {0}
    assert {run.data.split_seed for run in last.compared} == {1}
    assert last.lines[0].endswith("split_seed 1, 0.2 of the records for validation")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tune": True}, "rates of rmsprop must be several to tune, got 1e-4 alone"),
        (
            {"tune": True, "optimizers": ("sgd",), "learning_rates": ("0.1",)},
            "rates of sgd must be several to tune, got 0.1 alone",
        ),
        (
            {**AUTO, "run": ("adam,learning_rate=0.02",)},
            "rates of adam must be auto or numbers, got auto and 0.02",
        ),
    ],
)
def test_rates_that_cannot_be_searched_are_refused(design, values, message):
    with pytest.raises(ValueError, match=message):
        design(**values)


def test_the_rule_is_declared_and_not_what_follows_from_results(
    design, train, tmp_path
):
    asked = design(**AUTO, tune=True, replicates=6)

    def declare():
        declared = declaration.declare(asked.candidates, "d" * 64, "", asked)
        declaration.write_declaration(tmp_path / "runs", declared, "")
        return declaration.read_declaration(tmp_path / "runs")

    first = declare()
    last = follow(asked, train)[-1]
    assert declare() == first
    declared = first["declared"]
    assert declared["comparisons"] == [["best of sgd", "best of adam"]]
    assert declared["seeds"] == [1, 2, 3, 4, 5, 6]
    sgd = declared["configurations"]["best of sgd"]
    assert sgd["learning_rate"] == [0.001, 0.003, 0.01, 0.03, 0.1]
    rule = declared["search"]
    assert rule["seeds"] == [0]
    assert rule["widened"] == ["best of sgd", "best of adam"]
    assert rule["factors"]["optimizer"] == ["sgd", "adam"]
    assert rule["compared_on"] == "fresh seeds"
    assert declaration.describe_power(declared) == (
        "6 replicates and 1 pair: the smallest p value they can give is 0.031"
    )
    found = results.read_results([*last.compared, *last.tuning])
    parts = chosen.resolve(declared, found)
    assert parts.declared["comparisons"] == [["sgd 0.3", "adam 1e-3"]]
    assert set(parts.declared["configurations"]) == {"sgd 0.3", "adam 1e-3"}
    assert (len(parts.compared), len(parts.tuning)) == (12, len(last.tuning))
    document = content.build_document(findings.gather(found, first))
    assert not any("have ended" in line for line in document.banners)
    # What the search cost stands in the answer, the certificate and the methods.
    _, rates, *_ = (
        p.lines for p in document.sections[0].parts if isinstance(p, Bullets)
    )
    assert rates[0].startswith("sgd: best at 0.3 of 7 rates; ")
    assert rates[1].startswith("adam: best at 1e-3 of 7 rates; ")
    whole = findings.gather(found, first)
    [trials] = [check for check in whole.checks if check.name == certificate.TRIALS]
    assert trials.groups == {"7": ["sgd", "adam"]}
    said = methods.describe(whole).parts[0].words
    assert "Learning rates were chosen by runs that are not compared, of seed 0" in said
    # Without the runs that chose, nothing is chosen.
    without = chosen.resolve(declared, parts.compared).declared
    assert without["comparisons"] == [["best of sgd", "best of adam"]]


def test_choosing_and_comparing_on_the_same_runs_is_said(design):
    asked = design(**AUTO, replicates=3)
    declared = declaration.declare(asked.candidates, "d" * 64, "best of sgd", asked)
    assert declared["search"]["seeds"] == declared["seeds"] == [0, 1, 2]
    assert declaration.describe_power(declared) == (
        "3 replicates and 1 comparison with the baseline: nothing can be significant; "
        "6 replicates are needed; rates are chosen by the very runs that are compared, "
        "which flatters them: --tune compares fresh ones"
    )
    with pytest.raises(ValueError, match="one of best of sgd, best of adam, got 'sgd'"):
        declaration.declare(asked.candidates, "d" * 64, "sgd", asked)


def test_choosing_and_comparing_on_the_same_runs_is_a_banner(design, train):
    asked = design(**GIVEN | {"learning_rates": ("auto",)})
    last = follow(asked, train)[-1]
    declared = declaration.declare(asked.candidates, "d" * 64, "", asked)
    study = {"time": "2026-01-02T03:04:05+00:00", "runs_begun_before": 0}
    study |= {"sha256": "0" * 64, "declared": declared, "changes": []}
    found = findings.gather(results.read_results(last.compared), study)
    [line] = [b for b in content.build_document(found).banners if "Rates" in b]
    assert line.startswith("Rates were chosen by the very runs that are compared")


def test_what_follows_a_search_is_counted(design):
    asked = design(**AUTO, tune=True, replicates=6)
    plan = planning.plan_study(asked)
    assert planning.describe_rest(asked, plan) == (
        "what comes next follows from their results: more rates where the best is the "
        "lowest or highest; then 12 runs with fresh seeds, 6 of each of 2 best, each "
        "as long as one of these"
    )
    given = design(**GIVEN, tune=True, replicates=3)
    assert planning.describe_rest(given, planning.plan_study(given)).endswith(
        "results: 6 runs with fresh seeds, 3 of each of 2 best, each as long as one of "
        "these"
    )
