"""Who is ahead when, worked out by hand; an epoch is 586 steps, five are 2,930."""

import dataclasses

import pytest

from tfpipe.comparison import analysis, progression, results
from tfpipe.training import stages

MAJORITY = 3188 / 6250
PROBES = {0: 0.5, 128: 0.52, 256: 0.55, 512: 0.6}


def analyse(runs):
    return analysis.analyse(results.read_results(runs))


def standings(found, share):
    return [
        (s.rank, s.label.partition(" ")[0], round(s.accuracy, 4))
        for s in progression.standings(found, share)
    ]


def test_ranks_along_the_budget(notebook_runs):
    """A quarter is step 732, behind epoch 1; half is 1,465, behind epoch 2."""
    found = analyse(notebook_runs)
    assert progression.standings(found, 0.1) == [], "no look so early, not even a probe"
    assert standings(found, 0.25) == [
        (1, "rmsprop", 0.6264),
        (2, "sgd", 0.5130),
        (3, "adam", 0.4899),
        (3, "adam", 0.4899),
    ]
    assert standings(found, 0.5)[1] == (2, "sgd", 0.5403)
    assert standings(found, 1.0)[1] == (2, "adam", 0.6858)


def test_before_the_first_evaluation_probes_rank(write_run):
    """A tenth of the budget is step 293: the last probe by then is at 256."""
    runs = [
        write_run([0.7] * 5, probes=PROBES),
        write_run([0.6] * 5, optimizer="adam", probes={**PROBES, 256: 0.58}),
    ]
    found = progression.standings(analyse(runs), 0.1)
    assert [(s.label, s.accuracy) for s in found] == [
        ("adam 1e-4", 0.58),
        ("rmsprop 1e-4", 0.55),
    ]
    assert all(s.is_probe for s in found)
    assert not any(s.is_probe for s in progression.standings(analyse(runs), 0.25))


def test_probes_and_evaluations_are_never_ranked_together(write_run):
    """The short run has a full evaluation by a quarter of its budget; one can't rank
    that above another's quick look, so that both are probed."""
    runs = [
        write_run([0.7] * 5, probes=PROBES),
        write_run([0.6] * 2, optimizer="adam", epochs=2, probes=PROBES),
    ]
    found = progression.standings(analyse(runs), 0.25)
    assert [(s.accuracy, s.is_probe) for s in found] == [(0.6, True), (0.55, True)]


def test_a_run_that_diverged_stays_in_the_ranks(write_run):
    """It was seen at 0.7 in epoch 1 and diverged behind it."""
    runs = [
        write_run([0.7], optimizer="sgd", status="diverged"),
        write_run([0.6] * 5),
    ]
    found = analyse(runs)
    assert standings(found, 0.2) == [(1, "sgd", 0.7), (2, "rmsprop", 0.6)]
    assert standings(found, 0.5) == [(1, "rmsprop", 0.6), (2, "sgd", 0.5101)]
    assert standings(found, 1.0) == [(1, "rmsprop", 0.6), (2, "sgd", 0.5101)]


def test_ranks_after_an_epoch_are_of_that_epoch(write_run):
    """Whatever the budgets: 5/7 of seven epochs is the fifth in floats, too."""
    runs = [
        write_run([0.6, 0.61, 0.62, 0.63, 0.64, 0.65, 0.66], epochs=7),
        write_run([0.5] * 4 + [0.7] * 6, epochs=10, optimizer="adam"),
    ]
    found = analyse(runs)
    ranks = [s.accuracy for s in progression.standings_at(found, 5)]
    assert ranks == [0.7, 0.64]
    assert standings(found, 5 / 7)[1] == (2, "rmsprop", 0.64)


def test_curves_are_aligned_behind_the_start(write_replicates):
    """One left by epoch 1, one by epoch 3; the third never did."""
    runs = write_replicates(
        [0.6, 0.7, 0.8, 0.9], [0.5, 0.5, 0.64, 0.74], [0.5, 0.5, 0.5, 0.5]
    )
    found = progression.aligned(results.read_results(runs))
    assert [count for _, count in found] == [2, 2, 1, 1]
    assert [mean for mean, _ in found] == pytest.approx([0.62, 0.72, 0.8, 0.9])
    assert progression.aligned(results.read_results(runs[2:])) == []


def test_the_start_is_won_by_rate_then_by_time(write_replicates):
    fast, slow, never = [0.6] * 4, [0.5, 0.6, 0.6, 0.6], [0.5] * 4
    runs = [
        run
        for optimizer, curves in (
            ("adam", (fast, never, never)),
            ("sgd", (slow, slow, never)),
            ("lion", (never, never, never)),
            ("rmsprop", (fast, fast, never)),
        )
        for run in write_replicates(*curves, optimizer=optimizer)
    ]
    start, *_ = progression.stage_orders(analyse(runs))
    assert start.stage == "start"
    assert start.rows == (
        ("rmsprop 1e-4", "2 of 3, by 586"),
        ("sgd 1e-4", "2 of 3, by 1,172"),
        ("adam 1e-4", "1 of 3"),
        ("lion 1e-4", "0 of 3"),
    )


def test_the_descent_is_compared_where_all_that_left_were_seen(write_replicates):
    """adam's early run is at 0.9 three evaluations on, where its late one never came:
    one evaluation behind, both were seen, at 0.7 and 0.58, and sgd at 0.66."""
    early, late = [0.6, 0.7, 0.8, 0.9], [0.5, 0.5, 0.54, 0.58]
    runs = write_replicates(early, late, optimizer="adam")
    runs += write_replicates([0.6, 0.66, 0.7, 0.7], [0.5] * 4, optimizer="sgd")
    runs += write_replicates([0.5] * 4, optimizer="lion")
    _, descent, *_ = progression.stage_orders(analyse(runs))
    assert "start, 1 evaluation behind the first one that says so: " in descent.measure
    assert descent.rows == (
        ("sgd 1e-4", "0.6600 (1 run)"),
        ("adam 1e-4", "0.6400 (2 runs)"),
        ("lion 1e-4", "never came there"),
    )


def test_the_descent_ends_where_the_first_run_saturates(write_replicates):
    """rmsprop is ahead while both descend, and behind in the long saturation."""
    fast = [0.6, 0.7, 0.75, *[0.75] * 17]
    slow = [0.55, 0.6, 0.64, 0.68, 0.72, 0.8, 0.85, *[0.9] * 13]
    runs = write_replicates(fast, epochs=20)
    runs += write_replicates(slow, optimizer="adam", epochs=20)
    _, descent, saturation = progression.stage_orders(analyse(runs))
    assert "4 evaluations behind the first one" in descent.measure
    assert [label for label, _ in descent.rows] == ["rmsprop 1e-4", "adam 1e-4"]
    assert [label for label, _ in saturation.rows] == ["adam 1e-4", "rmsprop 1e-4"]


def test_saturation_is_won_by_the_best_accuracy_of_those_that_came(write_run):
    """Three evaluations without a gain of one standard error are no descent."""
    runs = [
        write_run([0.6, 0.9, 0.9, 0.9, 0.9]),
        write_run([0.6, 0.65, 0.7, 0.75, 0.8], optimizer="adam"),
    ]
    saturation = progression.stage_orders(analyse(runs))[-1]
    assert saturation.stage == "saturation"
    assert saturation.rows == (
        ("rmsprop 1e-4", "0.9000 (1 run)"),
        ("adam 1e-4", "never came there"),
    )


def test_without_ended_runs_there_are_no_stages(write_run):
    found = analyse([write_run([0.6], status="failed")])
    assert progression.stage_orders(found) == []


def test_other_thresholds_say_what_they_change(write_run):
    """0.526 is 2.5 standard errors above the majority share, 0.530 is 3.2."""
    runs = [
        write_run([0.526, 0.526]),
        write_run([0.530, 0.530], optimizer="adam"),
    ]
    rows = {row.change: row for row in progression.sensitivity(analyse(runs))}
    used = rows["as used"]
    assert used.escaped == {"rmsprop 1e-4": 0, "adam 1e-4": 1}
    assert (used.num_changed, used.num_labels) == (0, 4)
    low = rows["2 standard errors to leave the start"]
    assert low.escaped == {"rmsprop 1e-4": 1, "adam 1e-4": 1}
    assert low.num_changed == 2
    high = rows["4 standard errors to leave the start"]
    assert high.escaped == {"rmsprop 1e-4": 0, "adam 1e-4": 0}
    assert high.num_changed == 2


def test_a_diverged_run_has_a_label_more_than_evaluations(write_run):
    found = analyse([write_run([0.6, 0.7], status="diverged")])
    assert {row.num_labels for row in progression.sensitivity(found)} == {3}


def test_every_threshold_of_the_stages_is_varied():
    varied = {
        field.name
        for _, thresholds in progression.ALTERNATIVES
        for field in dataclasses.fields(thresholds)
        if getattr(thresholds, field.name) != field.default
    }
    assert varied == {field.name for field in dataclasses.fields(stages.Thresholds)}


def test_another_factor_of_divergence_may_add_the_label_of_its_end(write_run):
    """Its losses are 4 and 6 times 0.69 at the end: diverged from 3 times on."""
    run = write_run([0.5] * 3, val_loss=[0.69, 2.8, 4.2], status="diverged")
    rows = {row.change: row for row in progression.sensitivity(analyse([run]))}
    used = rows["as used"]
    low = rows["diverged from 3 times the loss at the start"]
    assert (used.num_changed, used.num_labels) == (0, 4)
    assert low.num_changed == 3


def test_what_diagnostics_say_of_a_plateau(write_run):
    each = {
        "noise_scale": [900.0, None, 10.0],
        "curvature_gradient": [0.5, 0.5, 0.5],
        "curvature_gradient_error": [0.1, 0.1, 0.1],
    }
    [found] = analyse([write_run([0.5, 0.5, 0.5], each=each)]).configurations
    words = progression.describe_plateaus(found)
    assert words == (
        "rmsprop 1e-4: 3 evaluations at the start; gradient noise scale 455 (median "
        "of 2): a batch of 32 is mostly noise; in 1 the gradient could not be told "
        "from noise; in 3 the loss is curved upwards along the gradient"
    )


def test_without_diagnostics_nothing_is_said(notebook_runs):
    found = analyse(notebook_runs).configurations
    assert {progression.describe_plateaus(c) for c in found} == {""}
