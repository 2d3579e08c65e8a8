"""What to train with: never more than the numbers say."""

from tfpipe.comparison import analysis, answer, certificate, declaration, results

MARGIN = (0.70, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76, 0.77)


def ask(runs, declared=None):
    read = results.read_results(runs)
    found = analysis.analyse(read, declared)
    return answer.find_answer(found, certificate.certify(read, declared))


def study(write_replicates, **curves):
    return [
        run
        for optimizer, rows in curves.items()
        for run in write_replicates(*rows, optimizer=optimizer)
    ]


def ends(less=0.0):
    return [[0.6, end - less] for end in MARGIN]


def test_one_seed_shows_nothing(notebook_runs):
    found = ask(notebook_runs)
    assert found.headline == (
        "Train with rmsprop 1e-4: validation accuracy 0.7997 at the end (one run: no "
        "spread is known); 1 of 1 run left its start (rate 0.03 to 1.00). It is not "
        "shown to be better than any other."
    )
    assert found.beside == (
        "Not distinguishable from it: adam 1e-4, sgd 1e-4, adam 1e-3.",
    )
    assert (
        "With 1 replicate and 6 comparisons nothing can be significant; 8 are needed "
        "(--replicates=8)."
    ) in found.doubts
    assert found.rates == (
        "rmsprop: one rate tried (1e-4).",
        "adam: best at 1e-4 of 2 rates; within one standard error of it: none of the "
        "others; the best is the smallest tried, so a better one may lie beyond.",
        "sgd: one rate tried (1e-4).",
    )
    assert found.doubts[0] == (
        "Runs were still improving when the budget ended (rmsprop 1e-4 1 of 1, adam "
        "1e-4 1 of 1): more epochs may change the order."
    )


def test_eight_replicates_show_the_better_one(write_replicates):
    facts = {"command": "python -m tfpipe.train --optimizer=adam"}
    runs = write_replicates(*ends(), optimizer="adam", facts=facts)
    runs += study(write_replicates, sgd=ends(0.05), lion=ends(0.001))
    found = ask(runs[:16])
    assert found.headline.startswith(
        "Train with adam 1e-4: validation accuracy 0.7350 at the end (mean of 8 runs"
    )
    assert found.headline.endswith("8 of 8 runs left their start (rate 0.63 to 1.00).")
    assert found.command == (
        "python -m tfpipe.train --optimizer=adam --learning_rate=0.0001"
    )
    assert found.beside == ("Shown to be worse: sgd 1e-4.",)


def test_nothing_declared_with_it_is_nothing_decided(write_replicates):
    runs = study(write_replicates, adam=ends(), sgd=ends(0.01), lion=ends(0.02))
    found = ask(runs, declaration.declare(runs, "d" * 64, "lion 1e-4"))
    assert found.beside == (
        "Shown to be worse: lion 1e-4.",
        "No comparison with it was declared, so that nothing is decided: sgd 1e-4.",
    )


def test_the_best_mean_may_be_the_worse_in_pairs(write_replicates, write_run):
    """adam is behind in each of eight pairs, and ahead by six runs that sgd lacks."""
    runs = study(write_replicates, adam=ends(0.02), sgd=ends())
    runs += [write_run([0.6, 0.99], optimizer="adam", seed=s) for s in range(8, 14)]
    found = ask(runs)
    assert found.headline.startswith("Train with adam 1e-4")
    assert "not shown to be better" in found.headline
    assert found.beside == (
        "Shown to be better in the replicates that both ended, though not in the mean "
        "of all: sgd 1e-4.",
    )


def test_no_run_is_no_answer(write_run):
    failed = write_run([], status="failed")
    found = ask([failed, failed.replace(seed=4)])
    assert found.headline == "No run has ended: there is no answer."
    assert found.command == ""
    assert found.doubts[1] == (
        "Counted nowhere: rmsprop 1e-4 seed 0 (failed), rmsprop 1e-4 seed 4 (not "
        "started)."
    )
    assert ask([]).headline == found.headline


def test_without_an_escape_nothing_is_recommended(write_replicates):
    found = ask(study(write_replicates, adam=[[0.5, 0.5]], sgd=[[0.52, 0.5]]))
    assert found.headline.startswith("No run is known to have left its start")
    assert (found.command, found.rates) == ("", ())
    assert found.doubts[0] == "More epochs, or other learning rates."


def test_one_epoch_cannot_confirm_an_escape(write_run):
    """0.9 after one epoch is no run that answers as if it knew nothing."""
    found = ask([write_run([0.9], epochs=1)])
    assert found.doubts[0] == (
        "Above the start at the last evaluation alone, and so not counted as having "
        "left it: rmsprop 1e-4 1 of 1; one more evaluation would tell."
    )


def test_runs_that_left_in_the_last_epoch_are_told_from_those_that_stayed(
    write_replicates,
):
    late = study(write_replicates, adam=[[0.6, 0.7], [0.5, 0.7]], sgd=[[0.5, 0.5]])
    answer = ask(late)
    assert answer.headline.split("; ")[1] == (
        "1 of 2 runs left their start (rate 0.01 to 0.99), 1 more perhaps at the last "
        "evaluation. It is not shown to be better than any other."
    )
    assert answer.doubts[0] == (
        "Above the start at the last evaluation alone, and so not counted as having "
        "left it: adam 1e-4 1 of 2; one more evaluation would tell."
    )
    assert not [line for line in answer.doubts if "only some runs" in line]


def test_what_left_in_its_last_epoch_alone_may_be_the_best(write_replicates):
    """Eight of sgd's runs may have left, and are shown to be better than adam's one."""
    late = [[0.5, 0.68 + less / 100] for less in range(8)]
    one = [[0.53, 0.535], *[[0.5, 0.5]] * 7]
    found = ask(study(write_replicates, sgd=late, adam=one))
    assert found.headline == (
        "Train with sgd 1e-4: validation accuracy 0.7150 at the end (mean of 8 runs, "
        "95 % interval 0.6945 to 0.7355); 0 of 8 runs left their start (rate 0.00 to "
        "0.37), 8 more perhaps at the last evaluation."
    )
    assert found.beside == ("Shown to be worse: adam 1e-4.",)


def test_of_higher_accuracy_but_never_beyond_one_answer(write_replicates):
    """adam left its start once; its other runs answer the smaller class."""
    runs = study(
        write_replicates,
        adam=[[0.53, 0.53], *[[0.4899, 0.4899]] * 8],
        sgd=[[0.5101, 0.5101]] * 9,
    )
    found = ask(runs[:9] + runs[10:])  # of seeds 1 to 8 sgd is ahead
    assert found.headline.startswith("Train with adam 1e-4")
    assert found.beside == (
        "Shown to be of higher accuracy, though no run of it is known to have left its "
        "start without diverging: sgd 1e-4.",
    )


def test_divergence_is_part_of_the_answer(write_replicates, write_run):
    runs = study(write_replicates, adam=[[0.6, 0.7], [0.6, 0.8]], sgd=[[0.5, 0.5]])
    runs += [write_run([0.5], optimizer="adam", seed=2, status="diverged")]
    runs += [write_run([0.5, 0.5], optimizer="sgd", seed=1, status="diverged")]
    found = ask(runs)
    assert "2 of 3 runs left their start (rate 0.09 to 0.99), 1 diverged." in (
        found.headline
    )
    assert (
        "Some runs diverged (adam 1e-4 1 of 3, sgd 1e-4 1 of 2), which more epochs "
        "don't mend: a smaller learning rate or clipped gradients may."
    ) in found.doubts
    # No further epoch brings the diverged one away from its start.
    assert not [line for line in found.doubts if "only some runs" in line]


def test_what_left_its_start_and_diverged_is_not_recommended(write_replicates):
    lost = write_replicates([0.6, 0.7], [0.6, 0.7], optimizer="adam", status="diverged")
    found = ask(lost + study(write_replicates, sgd=[[0.4899, 0.4899]]))
    assert found.headline == (
        "No run is known to have left its start without diverging: none of these "
        "settings can be recommended."
    )
    assert (found.command, found.beside) == ("", ())


def test_the_escape_of_a_run_that_diverged_recommends_no_other(write_replicates):
    late = study(write_replicates, sgd=[[0.5, 0.7]])
    lost = write_replicates([0.6, 0.7], optimizer="adam", status="diverged")
    assert "none of these settings" in ask([*late, *lost]).headline


def test_one_configuration_is_compared_with_nothing(write_replicates):
    found = ask(study(write_replicates, adam=[[0.6, 0.7], [0.6, 0.8]]))
    assert found.beside == ("It is the only configuration: nothing is compared.",)
    assert not [line for line in found.doubts if "significant" in line]
    # Student's interval of two would be 0.1147 to 1.3853.
    assert "(mean of 2 runs, 0.7000 to 0.8000)" in found.headline


def test_rates_near_the_best_may_have_gaps(write_run):
    curves = {1e-5: 0.8, 1e-4: 0.6, 1e-3: 0.801, 1e-2: 0.5}
    runs = [
        write_run([0.6, end], optimizer="sgd", learning_rate=rate)
        for rate, end in curves.items()
    ]
    assert ask(runs).rates == (
        "sgd: best at 1e-3 of 4 rates; within one standard error of it: 1e-5, 1e-3.",
    )


def test_rates_that_never_left_their_start_have_no_best(write_run):
    runs = [write_run([0.6, 0.7])]
    runs += [
        write_run([0.5, 0.5], optimizer="sgd", learning_rate=rate)
        for rate in (1e-3, 1e-4)
    ]
    assert ask(runs).rates[1] == (
        "sgd: at none of 2 rates (1e-4, 1e-3) did a run leave its start."
    )


def test_rates_are_grouped_by_what_else_differs(write_run):
    def write(rate, *args):
        return write_run(
            [0.6, 0.7], optimizer="sgd", learning_rate=rate, optimizer_args=args
        )

    runs = [write(1e-2), write(1e-1), write(1e-2, "momentum=0.9"), write_run([0.6] * 2)]
    edge = "; the best is the smallest tried, so a better one may lie beyond"
    assert ask(runs).rates == (
        "sgd optimizer_args=none: best at 0.01 of 2 rates; within one standard error "
        f"of it: 0.01 to 0.1{edge}.",
        "sgd optimizer_args=momentum=0.9: one rate tried (0.01).",
        "rmsprop: one rate tried (1e-4).",
    )


def test_what_would_change_it(write_replicates, write_run):
    runs = study(write_replicates, adam=[[0.6, 0.7, 0.8], [0.5, 0.5, 0.5]])
    runs += [write_run([0.6], optimizer="sgd", status="failed")]
    runs += [write_run([0.6, 0.6, 0.6], optimizer="lion", batch_size=8)]
    doubts = ask(runs).doubts
    assert any("adam 1e-4 batch_size=32 only some runs" in line for line in doubts)
    assert any("Counted nowhere: sgd 1e-4" in line for line in doubts)
    assert any(line.startswith("Runs differ in batch_size (32: ") for line in doubts)


def test_a_comparison_in_words(write_replicates):
    runs = study(write_replicates, adam=ends(0.05), sgd=ends())
    [comparison] = analysis.analyse(results.read_results(runs)).comparisons
    assert answer.describe_comparison(comparison, 0.05) == (
        "sgd 1e-4 less adam 1e-4: +0.0500 (95 % +0.0500 to +0.0500), ahead in 8 of 8 "
        "replicates, corrected p 0.0078: distinguishable; leaving the start: log-rank "
        "p 1"
    )


def test_a_comparison_without_a_pair_in_words(write_run):
    runs = [write_run([0.6] * 2), write_run([0.6] * 2, optimizer="adam", seed=1)]
    [comparison] = analysis.analyse(results.read_results(runs)).comparisons
    assert answer.describe_comparison(comparison, 0.05) == (
        "rmsprop 1e-4 and adam 1e-4: no replicate in which both ended"
    )
    assert ask(runs).beside == ("No replicate in which both ended: adam 1e-4.",)
