"""What the notebook concluded, asked of its own four runs and of others."""

import pytest

from tfpipe.comparison import analysis, claims, declaration, results

UP_AND_DOWN = [0.5, 0.6, 0.5, 0.6, 0.5]


def ask(runs, declared=None):
    found = analysis.analyse(results.read_results(runs), declared)
    return {claim.question: claim.answer for claim in claims.answer_claims(found)}


def answer(runs, word, declared=None):
    answers = ask(runs, declared)
    [found] = [line for question, line in answers.items() if word in question]
    return found


def test_the_notebooks_own_runs(notebook_runs):
    assert ask(notebook_runs) == {
        "Does a larger rate (adam 1e-3) oscillate or collapse?": (
            "It collapses: one class was answered in 5 of 5 evaluations, accuracy fell "
            "from one to the next by more than 2 standard errors of such a difference "
            "0 of 4 times, and 0 "
            "of 1 run left its start."
        ),
        "Does an adaptive optimizer need no learning rate?": (
            "Not decided: the two are not distinguishable here: adam 1e-4 ends at "
            "0.6858, adam 1e-3 at 0.4899."
        ),
        "Is SGD bad, or its rate wrong?": (
            "These runs cannot tell: at 1e-4, the only rate tried, 0 of 1 run left its "
            "start; Keras's default for sgd is 0.01. --optimizers=sgd "
            "--learning_rates=1e-3,1e-2,1e-1 would tell."
        ),
        "Does the order at epoch 5 hold later?": (
            "These runs cannot tell: the shortest has 5 epochs. A larger --epochs "
            "would tell."
        ),
    }


@pytest.mark.parametrize(
    ("curve", "share", "status", "verdict"),
    [
        (UP_AND_DOWN, 0.6, "done", "It oscillates: "),
        ([0.6, 0.8, 0.6, 0.8, 0.6], 0.6, "done", "It oscillates: "),
        ([0.6, 0.7, 0.8, 0.85, 0.9], 0.6, "done", "Neither: it learns: "),
        ([0.51, 0.52, 0.51, 0.52, 0.52], 0.6, "done", "Mixed: "),
        ([0.4899] * 5, 1.0, "done", "It collapses: "),
        ([0.5], 0.6, "diverged", "Neither: it diverges: "),
        ([], 0.6, "diverged", "Neither: it diverges: "),
        ([0.6, 0.7], 0.6, "diverged", "Neither: it diverges: "),
    ],
)
def test_what_a_larger_rate_does(write_run, curve, share, status, verdict):
    shares = {"predicted_shares": [[share, 1 - share]] * len(curve)}
    runs = [
        write_run([0.6] * 5, optimizer="adam", learning_rate=1e-4),
        write_run(
            curve, optimizer="adam", learning_rate=1e-3, status=status, each=shares
        ),
    ]
    assert answer(runs, "larger rate (adam 1e-3)").startswith(verdict)


def test_what_may_have_left_at_its_end_has_not_just_collapsed(write_replicates):
    shares = {"predicted_shares": [[1.0, 0.0], [1.0, 0.0]]}
    runs = write_replicates([0.6, 0.7], optimizer="adam")
    for optimizer in ("adam", "sgd"):
        runs += write_replicates(
            [0.4899, 0.7],
            [0.4899, 0.4899],
            optimizer=optimizer,
            learning_rate=1e-3,
            each=shares,
        )
    assert answer(runs, "larger rate").startswith("Mixed: ")
    assert answer(runs, "larger rate").endswith(
        "and 0 of 2 runs left their start and 1 perhaps."
    )
    runs += write_replicates([0.4899] * 2, optimizer="sgd")
    assert answer(runs, "SGD").startswith("Not decided: at no rate did most runs leave")


def test_what_collapsed_and_learned_after_all_is_no_collapse(write_run):
    curve = [0.4899, 0.4899, 0.4899, 0.6, 0.7]
    runs = [
        write_run([0.6] * 5, optimizer="adam"),
        write_run(curve, optimizer="adam", learning_rate=1e-3),
    ]
    assert answer(runs, "larger rate").startswith("Neither: it learns: one class was ")


def test_where_more_than_the_rate_differs_no_rate_is_judged(write_run):
    runs = [write_run([0.6, 0.7], optimizer="adam", batch_size=b) for b in (8, 32)]
    assert list(ask(runs)) == ["Does the order at epoch 5 hold later?"]


def test_eight_replicates_can_decide_that_a_rate_is_needed(write_replicates):
    runs = [
        run
        for rate, end in ((1e-4, 0.8), (1e-3, 0.7))
        for run in write_replicates(
            *[[0.6, end]] * 8, optimizer="adam", learning_rate=rate
        )
    ]
    assert answer(runs, "adaptive") == (
        "It needs one: adam 1e-4 ends at 0.8000, adam 1e-3 at 0.7000."
    )


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        (
            {1e-3: [0.5] * 3, 1e-2: [0.8] * 3},
            "Its rate: sgd 0.01 ends at 0.8000 (sgd 1e-3: 0 of 3 runs left their "
            "start; sgd 0.01: 3 of 3 runs left their start).",
        ),
        (
            {1e-3: [0.7] * 3, 1e-2: [0.8] * 3},
            "Neither: it learns at every rate tried (sgd 1e-3: 3 of 3 runs left their "
            "start; sgd 0.01: 3 of 3 runs left their start).",
        ),
        (
            {1e-3: [0.5] * 3, 1e-2: [0.5, 0.5, 0.8]},
            "Not decided: at no rate did most runs leave their start (sgd 1e-3: 0 of 3 "
            "runs left their start; sgd 0.01: 1 of 3 runs left their start).",
        ),
        (
            {1e-3: [0.5] * 3, 1e-2: [0.5] * 3},
            "These runs cannot tell: at none of the rates tried (1e-3, 0.01) did a run "
            "leave its start.",
        ),
    ],
)
def test_sgd_or_its_rate(write_replicates, ends, verdict):
    runs = [
        run
        for rate, row in ends.items()
        for run in write_replicates(
            *([end, end] for end in row), optimizer="sgd", learning_rate=rate
        )
    ]
    assert answer(runs, "SGD") == verdict


def test_an_order_that_changes_is_no_more_than_the_means(write_run):
    runs = [
        write_run([0.6] * 5 + [0.7], optimizer="adam", epochs=6),
        write_run([0.65] * 6, optimizer="sgd", epochs=6),
        write_run([0.55] * 5 + [0.56], epochs=6),
    ]
    assert answer(runs, "epoch 5") == (
        "It changes in the means: sgd 1e-4 > adam 1e-4 > rmsprop 1e-4 at epoch 5, "
        "adam 1e-4 > sgd 1e-4 > rmsprop 1e-4 at epoch 6; at the end the pair that "
        "swapped is not distinguishable."
    )


def test_an_order_that_changes_where_no_comparison_was_declared(write_run):
    runs = [
        write_run([0.6] * 5 + [0.7], optimizer="adam", epochs=6),
        write_run([0.65] * 6, optimizer="lion", epochs=6),
        write_run([0.5] * 6, epochs=6),
    ]
    declared = declaration.declare(runs, "d" * 64, "rmsprop 1e-4")
    assert answer(runs, "epoch 5", declared).endswith(
        "; at the end no comparison of what swapped was declared."
    )


def test_an_order_that_holds(write_run):
    """A run that diverged and one of other length don't hide where epoch 5 was."""
    runs = [
        write_run([0.6] * 4 + [0.7] * 6, optimizer="adam", epochs=10),
        write_run([0.65] * 7, optimizer="sgd", epochs=7),
        write_run([0.65], epochs=10, status="diverged"),
    ]
    assert answer(runs, "epoch 5") == (
        "It holds in the means: adam 1e-4 > sgd 1e-4 > rmsprop 1e-4 at epoch 5, "
        "adam 1e-4 > sgd 1e-4 > rmsprop 1e-4 at epoch 7."
    )


def test_other_studies_answer_none_of_them(write_run):
    runs = [write_run([0.6, 0.7], optimizer=o) for o in ("lion", "adamw")]
    assert ask(runs) == {}


def test_no_runs_answer_none():
    assert claims.answer_claims(analysis.analyse([])) == []


def test_what_differs_in_more_than_its_rate_is_left_out_by_name(
    notebook_runs, write_run
):
    args = {"adam": "beta_2=0.99", "sgd": "momentum=0.9"}
    runs = list(notebook_runs)
    for optimizer, arg in args.items():
        runs.append(write_run([0.6] * 5, optimizer=optimizer, optimizer_args=(arg,)))
    said = "Not asked of what differs in more than its rate: "
    for word, label in (
        ("larger rate (adam 1e-3", "adam 1e-4 optimizer_args=beta_2=0.99"),
        ("adaptive", "adam 1e-4 optimizer_args=beta_2=0.99"),
        ("SGD", "sgd 1e-4 optimizer_args=momentum=0.9"),
    ):
        assert answer(runs, word).endswith(f". {said}{label}.")
    assert answer(runs, "larger rate").startswith("It collapses: ")


def test_the_notebooks_larger_rate_is_asked_of_wherever_both_are(write_run):
    runs = [
        write_run([0.6, 0.7], optimizer="adam", learning_rate=rate)
        for rate in (1e-5, 1e-4, 1e-3, 1e-2)
    ]
    assert "Does a larger rate (adam 1e-3) oscillate or collapse?" in ask(runs)
    assert "Does a larger rate (adam 1e-4) oscillate or collapse?" in ask(runs[:2])


def test_rates_that_only_tuning_tried_were_tried_too(write_run):
    tried = {1e-3: [0.4899] * 2, 1e-2: [0.6, 0.7]}
    tuned = [
        write_run(curve, optimizer="sgd", learning_rate=rate)
        for rate, curve in tried.items()
    ]
    best = [
        write_run([0.6, 0.8], optimizer="sgd", learning_rate=1e-2, seed=seed)
        for seed in (1, 2)
    ]
    found = claims.answer_claims(
        analysis.analyse(results.read_results(best)),
        analysis.analyse(results.read_results(tuned)).configurations,
    )
    assert found[0].answer == (
        "Its rate: sgd 0.01 ends at 0.8000 (sgd 1e-3: 0 of 1 run left its start; sgd "
        "0.01: 2 of 2 runs left their start)."
    )


@pytest.mark.parametrize(("steps", "more"), [(586, " and --max_steps"), (99999, "")])
def test_what_would_tell_of_later_is_a_larger_budget(write_run, steps, more):
    runs = [
        write_run([0.6], optimizer=optimizer, max_steps=steps)
        for optimizer in ("adam", "sgd")
    ]
    assert answer(runs, "epoch 5").endswith(f"A larger --epochs{more} would tell.")


def test_what_differs_in_more_than_its_rate_is_no_question_of_rates(write_run):
    sgd = [
        write_run([0.5, 0.5], optimizer="sgd", learning_rate=0.01),
        write_run(
            [0.6, 0.7],
            optimizer="sgd",
            learning_rate=0.1,
            optimizer_args=("momentum=0.9",),
        ),
    ]
    adam = [
        write_run([0.6, 0.7], optimizer="adam", batch_size=8),
        write_run([0.5, 0.5], optimizer="adam", learning_rate=1e-3),
    ]
    assert [question.split()[:2] for question in ask([*sgd, *adam])] == [
        ["Is", "SGD"],  # of the first, at one rate
        ["Does", "the"],
    ]
