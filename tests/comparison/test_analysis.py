"""A study in values: every number here is worked out by hand."""

import math

import pytest

from tfpipe.comparison import (
    analysis,
    configurations,
    declaration,
    findings,
    results,
)

MAJORITY = 3188 / 6250  # 0.51008; a run has left its start above 0.5290
HIGH, LOW = [0.6, 0.7, 0.8], [0.4899, 0.4899, 0.4899]


def analyse(runs, declared=None):
    return analysis.analyse(results.read_results(runs), declared)


def read(run):
    [result] = results.read_results([run])
    return result


# Groups


def test_a_configuration_is_all_runs_but_for_their_seed(write_run):
    runs = [
        write_run(HIGH, optimizer=o, seed=s) for s in (1, 0) for o in ("adam", "sgd")
    ]
    groups = configurations.group_runs(results.read_results(runs))
    seeds = {name: [r.settings["seed"] for r in runs] for name, runs in groups.items()}
    assert seeds == {"adam 1e-4": [0, 1], "sgd 1e-4": [0, 1]}


def test_replicates_that_resample_the_split_are_one_configuration(write_run):
    counts = ([3188, 3062], [3187, 3063], [3189, 3061])
    runs = [
        write_run(
            HIGH,
            seed=seed,
            split_seed=seed + 7,
            facts={"validation_class_counts": counts[seed]},
        )
        for seed in range(3)
    ]
    [configuration] = analyse(runs).configurations
    assert configuration.label == "rmsprop 1e-4"
    assert len(configuration.ended) == 3
    # Each run is judged by its own share; the table names the highest.
    assert configuration.targets[0].accuracy == pytest.approx(0.1 + 0.9 * 3189 / 6250)


def test_splits_that_do_not_move_with_the_seed_are_configurations(write_run):
    runs = [write_run(HIGH, seed=s, split_seed=c) for s in (0, 1) for c in (3, 4)]
    labels = [c.label for c in analyse(runs).configurations]
    assert labels == ["rmsprop 1e-4 split_seed=3", "rmsprop 1e-4 split_seed=4"]


def test_a_schedule_that_knows_its_length_stands_beside_one_that_does_not(write_run):
    runs = [write_run(HIGH), write_run(HIGH, schedule="cosine")]
    labels = [c.label for c in analyse(runs[::-1]).configurations]
    assert len(set(labels)) == 2


def test_labels_are_those_declared(write_run):
    runs = [write_run(HIGH, batch_size=b) for b in (8, 16)]
    declared = declaration.declare(runs, "d" * 64)
    [alone] = analyse(runs[:1], declared).configurations
    assert alone.label == "rmsprop 1e-4 batch_size=8"


# Runs


def test_a_diverged_run_counts_with_the_majority_share(write_replicates):
    runs = write_replicates([0.6, 0.7], status="diverged")
    assert read(runs[0]).final_accuracy() == MAJORITY
    [configuration] = analyse(runs).configurations
    assert configuration.final.values == (MAJORITY,)
    assert configuration.escaped_best.values == (0.7,), "that model was kept"
    assert configuration.stages == (("descent", "descent", "diverged"),)
    assert configuration.num_improving == 0
    assert configuration.train_seconds.values == ()


def test_a_diverged_run_without_an_evaluation_counts_too(write_run):
    runs = [write_run(HIGH), write_run([], seed=1, status="diverged")]
    [configuration] = analyse(runs).configurations
    assert configuration.final.values == (0.8, MAJORITY)
    assert configuration.escaped_best.values == (0.8,)
    assert configuration.stages[1] == ("diverged",)


def test_failed_and_waiting_runs_are_kept_and_not_counted(write_run):
    done = write_run(HIGH)
    runs = [
        done,
        write_run(HIGH, seed=1, status="failed"),
        write_run(HIGH, seed=2, status="interrupted"),
        done.replace(seed=3),
    ]
    [configuration] = analyse(runs).configurations
    assert len(configuration.runs) == 4
    assert [run.settings["seed"] for run in configuration.ended] == [0]


def test_a_configuration_whose_every_run_failed_has_no_numbers(write_run):
    found = analyse([write_run([], status="failed"), write_run(HIGH, optimizer="sgd")])
    failed = found.configurations[0]
    assert math.isnan(failed.final.mean)
    assert (failed.escaped.num, failed.escaped.of) == (0, 0)
    assert [c.label for c in found.ranked] == ["sgd 1e-4"]
    [comparison] = found.comparisons
    assert (comparison.differences, comparison.corrected_p) == ((), 1.0)


def test_two_runs_of_one_seed_are_no_two_replicates(write_run):
    runs = [write_run(HIGH), write_run(LOW, run_name="again")]
    runs += [write_run(LOW, optimizer="sgd")]
    found = analyse(runs)
    assert found.configurations[0].final.values == (0.8,)
    assert len(found.comparisons[0].differences) == 1


def test_no_runs_at_all():
    found = analysis.analyse([])
    assert (found.configurations, found.comparisons, found.ranked) == ((), (), [])


def test_escapes_are_counted_and_timed(write_replicates):
    """Of four runs two left, by step 586 and by 1172; one only seems to at its end."""
    runs = write_replicates(HIGH, [0.5, 0.6, 0.7], LOW, [0.5, 0.5, 0.6])
    [configuration] = analyse(runs).configurations
    assert (configuration.escaped.num, configuration.escaped.of) == (2, 4)
    assert configuration.escape.times == [586, 1172]
    assert configuration.escape.shares == [0.75, 0.5]
    assert configuration.escape.median == 1172
    assert configuration.escaped_final.values == (0.8, 0.7)


def test_runs_that_diverged_do_not_make_the_others_look_faster(write_run):
    """Two of five left their start, so that the median run never did.

    Were the three that diverged censored where they broke off, two of two would have.
    """
    runs = [write_run(HIGH, seed=seed) for seed in range(2)]
    runs += [write_run([], seed=seed, status="diverged") for seed in range(2, 5)]
    [configuration] = analyse(runs).configurations
    assert configuration.escape.shares == pytest.approx([3 / 5])
    assert configuration.escape.median == math.inf
    first = configuration.targets[0]
    assert (first.num_reached, first.of) == (2, 5)
    assert first.median_steps == math.inf
    assert first.median_train_seconds == math.inf


def test_targets_with_misses_censored(write_replicates):
    """10 % of the way from 0.51008 to 1 is 0.559, 50 % 0.755, 90 % 0.951."""
    runs = write_replicates(HIGH, [0.5, 0.56, 0.76], LOW)
    [configuration] = analyse(runs).configurations
    tenth, half, most = (configuration.targets[index] for index in (0, 4, 8))
    assert tenth.accuracy == pytest.approx(0.559072)
    assert (tenth.num_reached, tenth.of, tenth.median_steps) == (2, 3, 1172)
    # Epochs take 90 and 91 seconds.
    assert tenth.median_train_seconds == 181
    assert (half.num_reached, half.median_steps) == (2, 3 * 586)
    assert (most.num_reached, most.median_steps) == (0, math.inf)


def test_a_fast_run_that_misses_is_not_watched_for_less(write_replicates):
    """Two of five get there, after 300 s; the others took all their steps in 100 s.

    Censored then, they would leave only the two, and a median that most missed.
    """
    runs = write_replicates(HIGH, HIGH, each={"train_seconds": [100.0, 200.0, 300.0]})
    for seed in (2, 3, 4):
        each = {"train_seconds": [30.0, 60.0, 100.0]}
        runs += write_replicates(LOW, seed=seed, each=each)
    [configuration] = analyse(runs).configurations
    assert configuration.targets[4].num_reached == 2
    assert configuration.targets[4].median_train_seconds == math.inf


def test_a_run_that_stopped_early_never_left(write_replicates):
    """One of three left, by 1172; that it was watched no longer is no excuse.

    Censored at its end, it would leave one of two, and a median step.
    """
    runs = write_replicates([0.5], status="stopped_early")
    runs += [
        run
        for seed, curve in ((1, [0.5, 0.6, 0.6]), (2, LOW))
        for run in write_replicates(curve, seed=seed)
    ]
    [configuration] = analyse(runs).configurations
    assert configuration.escape.shares == pytest.approx([2 / 3])
    assert configuration.escape.median == math.inf
    assert configuration.targets[0].median_steps == math.inf


def test_a_run_that_left_in_its_last_epoch_was_still_improving(write_run):
    runs = [write_run([0.5, 0.5, 0.7]), write_run([0.5] * 3, seed=1)]
    runs += [write_run([0.5, 0.5, 0.7], seed=2, status="stopped_early")]
    [configuration] = analyse(runs).configurations
    assert configuration.num_improving == 1


def test_the_best_epoch_of_a_run_that_wavers_is_no_improvement(write_run):
    rising = write_run([0.6, 0.65, 0.7, 0.75, 0.8])
    flat = write_run([0.8, 0.8, 0.8, 0.8, 0.801], seed=1)
    early = write_run([0.6, 0.8, 0.7, 0.7, 0.7], seed=2)
    chance = write_run([0.51, 0.5101, 0.5102, 0.5103, 0.5104], seed=3)
    found = [
        configurations.is_improving(read(r)) for r in (rising, flat, early, chance)
    ]
    assert found == [True, False, False, False]


def test_a_run_that_stopped_early_was_not_cut_by_its_budget(write_run):
    run = write_run([0.6, 0.7], status="stopped_early", epochs=20)
    assert not configurations.is_improving(read(run))


def test_max_steps_are_the_budget(write_run):
    run = read(write_run([0.6, 0.7, 0.8], epochs=20, max_steps=3 * 586))
    assert run.budget_steps == 1758
    assert configurations.is_improving(run)


def test_test_accuracy_is_that_of_the_best_epoch_of_validation(write_run):
    each = {"test_accuracy": [0.61, 0.71, 0.69]}
    runs = [
        write_run([0.6, 0.8, 0.7], each=each),
        write_run([], seed=1, status="diverged"),
    ]
    [configuration] = analyse(runs).configurations
    assert configuration.escaped_test_best.values == (0.71,)
    assert configuration.escaped_test_final.values == (0.69,)
    [without] = analyse(runs[1:]).configurations
    assert without.escaped_test_best is None


def test_chance_is_one_class_of_many(write_run):
    counts = {"validation_class_counts": [10, 20, 30, 40]}
    run = read(write_run([0.4, 0.4], facts=counts))
    assert (run.majority_share, run.num_classes) == (0.4, 4)
    # 0.4 + 3 sqrt(0.4 0.6 / 100)
    assert run.threshold == pytest.approx(0.546969)
    assert run.start_loss == math.log(4), "a folder without a look at the start"


def test_what_diverged_ranks_behind_what_answers_the_smaller_class(write_run):
    runs = [
        write_run([], optimizer="sgd", status="diverged"),
        write_run([0.4899] * 2, optimizer="adam"),
        write_run([0.6, 0.6], optimizer="lion", status="diverged"),
        write_run([0.53, 0.53], optimizer="rmsprop"),
    ]
    labels = [c.label.split()[0] for c in analyse(runs).ranked]
    assert labels == ["rmsprop", "adam", "sgd", "lion"]


# Comparisons


def study(write_replicates, **curves):
    return [
        run
        for optimizer, ends in curves.items()
        for run in write_replicates(*([0.6, end] for end in ends), optimizer=optimizer)
    ]


def test_comparisons_by_hand(write_replicates):
    """Three replicates, three pairs: adam is 0.1 ahead of sgd each time.

    Of 8 ways to flip three equal signs two reach the sum: p is 0.25, which Holm
    multiplies by 3. Of (0.1, 0.1, -0.1) six of 8 sums, all but 0.3's two, are as far.
    """
    found = analyse(
        study(
            write_replicates,
            adam=[0.8, 0.8, 0.7],
            sgd=[0.7, 0.7, 0.6],
            lion=[0.7, 0.7, 0.8],
        )
    )
    first, second, third = found.comparisons
    assert (first.one, first.other) == ("adam 1e-4", "sgd 1e-4")
    assert first.differences == pytest.approx((0.1, 0.1, 0.1))
    assert first.paired == pytest.approx((0.1, 0.1, 0.1))
    # Variances of 1/300 each, an error of 0.0471, and 2.776 of them at 4 degrees.
    assert first.unpaired == pytest.approx((0.1, -0.03088, 0.23088), abs=1e-5)
    assert (first.p, first.corrected_p) == (0.25, 0.75)
    assert first.correlation == pytest.approx(1)
    assert (second.p, second.corrected_p) == (1.0, 1.0)
    assert third.differences == pytest.approx((0, 0, -0.2))
    assert (third.p, third.corrected_p) == (1.0, 1.0)
    assert not any(c.is_distinguishable for c in found.comparisons)


def test_eight_replicates_can_decide(write_replicates):
    """2 / 256 over three pairs: 0.0234 for the first, 0.0234 for those that follow."""
    ends = [0.70, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76, 0.77]
    found = analyse(
        study(
            write_replicates,
            adam=ends,
            sgd=[end - 0.05 for end in ends],
            lion=[end - 0.05 for end in ends],
        )
    )
    first, second, third = found.comparisons
    assert first.corrected_p == second.corrected_p == 6 / 256
    assert first.is_distinguishable
    assert second.is_distinguishable
    assert (third.corrected_p, third.is_distinguishable) == (1.0, False)


def test_missing_replicates_are_left_out_of_pairs(write_run):
    """adam has seeds 0, 1, 3; sgd 0, 2, 3, of which 3 failed: only 0 is a pair."""
    runs = [write_run([0.6, 0.8], optimizer="adam", seed=s) for s in (0, 1, 3)]
    runs += [write_run([0.6, 0.7], optimizer="sgd", seed=s) for s in (0, 2)]
    runs += [write_run([0.6, 0.7], optimizer="sgd", seed=3, status="failed")]
    [comparison] = analyse(runs).comparisons
    assert comparison.seeds == (0,)
    assert comparison.differences == pytest.approx((0.1,))
    assert comparison.correlation is None
    assert comparison.p == 1.0


def test_what_was_declared_and_is_not_there_counts_for_holm(write_replicates):
    """Two of three declared pairs have no runs yet: p is still multiplied by 3."""
    runs = study(write_replicates, adam=[0.8] * 3, sgd=[0.7] * 3)
    absent = runs[0].replace(optimizer="lion")
    declared = declaration.declare([*runs, absent], "d" * 64)
    [comparison] = analyse(runs, declared).comparisons
    assert (comparison.p, comparison.corrected_p) == (0.25, 0.75)


def test_with_a_baseline_only_its_comparisons_count(write_replicates):
    runs = study(write_replicates, adam=[0.8] * 3, sgd=[0.7] * 3, lion=[0.7] * 3)
    declared = declaration.declare(runs, "d" * 64, "sgd 1e-4")
    found = analyse(runs, declared).comparisons
    assert [(c.one, c.other) for c in found] == [
        ("sgd 1e-4", "adam 1e-4"),
        ("sgd 1e-4", "lion 1e-4"),
    ]
    assert [c.corrected_p for c in found] == [0.5, 1.0]


def test_a_diverged_run_is_never_ahead(write_run):
    """One answers the smaller class, 0.4899, where a diverged run counts 0.5101."""
    runs = [
        write_run(curve, optimizer=optimizer, seed=seed, status=status)
        for seed in range(8)
        for optimizer, curve, status in (
            ("adam", LOW, "done"),
            ("sgd", [], "diverged"),
            ("lion", HIGH, "done"),
        )
    ]
    collapsed, learned, other = analyse(runs).comparisons
    assert collapsed.differences == (0.0,) * 8
    assert not collapsed.is_distinguishable
    assert learned.differences == pytest.approx((-0.3101,) * 8)
    assert other.differences == pytest.approx((MAJORITY - 0.8,) * 8)
    assert other.is_distinguishable


def test_those_that_never_left_their_start_are_ranked_last(write_run):
    """At chance by luck is no merit: 0.52 of noise is behind 0.51 of one that fell."""
    runs = [
        write_run([0.52, 0.52], optimizer="sgd"),
        write_run([0.6, 0.6, 0.51], optimizer="adam"),
    ]
    assert [c.label for c in analyse(runs).ranked] == ["adam 1e-4", "sgd 1e-4"]


def test_times_to_escape_are_compared(write_replicates):
    """Three left by step 586 and three never: 2 of 20 ways to deal them are as far."""
    runs = [
        run
        for optimizer, curve in (("adam", HIGH), ("sgd", LOW))
        for run in write_replicates(curve, curve, curve, optimizer=optimizer)
    ]
    [comparison] = analyse(runs).comparisons
    assert comparison.escape_p == pytest.approx(2 / 20)


def test_a_run_that_fell_back_is_not_improving(write_run):
    run = read(write_run([0.5] * 4 + [0.6, 0.7, 0.8, 0.51], epochs=8))
    assert not configurations.is_improving(run)


def test_pairs_that_were_not_declared_decide_nothing(write_replicates):
    runs = study(write_replicates, adam=[0.8] * 8, sgd=[0.7] * 8, lion=[0.6] * 8)
    declared = declaration.declare(runs, "d" * 64, "adam 1e-4")
    found = analyse(runs, declared)
    assert [c.other for c in found.comparisons] == ["sgd 1e-4", "lion 1e-4"]
    [other] = found.others
    assert (other.one, other.other) == ("sgd 1e-4", "lion 1e-4")
    assert other.p == pytest.approx(2 / 256)
    assert math.isnan(other.corrected_p)
    assert not other.is_distinguishable


def test_a_run_of_another_split_than_its_seed_has_is_no_replicate(write_run):
    """It was there before --vary_split, and comes first in its folder."""
    stray = write_run(LOW, seed=2, split_seed=0)
    runs = [write_run(HIGH, seed=seed, split_seed=seed) for seed in range(3)]
    declared = {**declaration.declare(runs, "d" * 64), "split_seeds": [0, 1, 2]}
    study = {"declared": declared, "changes": []}
    found = findings.gather(results.read_results([stray, *runs]), study)
    [configuration] = found.analysis.configurations
    assert [run.config for run in configuration.ended] == runs
    assert [run.config for run in found.parts.undeclared] == [stray]
