"""What the notebook concluded from one seed of four runs, asked of these runs."""

import dataclasses
import itertools
from collections.abc import Sequence

from tfpipe.comparison import progression
from tfpipe.comparison.analysis import Analysis
from tfpipe.comparison.configurations import Configuration, group_by_rates
from tfpipe.comparison.labels import format_number
from tfpipe.comparison.progression import Standing
from tfpipe.training import stages

OPTIMIZERS = {"rmsprop", "rmsprop_keras2", "adam", "sgd"}
EPOCHS = 5
"""The notebook's budget."""
SMALLER, LARGER = 1e-4, 1e-3
"""Its learning rates of Adam."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A question the notebook raised, and what these runs say."""

    question: str
    answer: str


def answer_claims(
    analysis: Analysis, tuned: Sequence[Configuration] = ()
) -> list[Claim]:
    """Return each claim whose runs are there, [] without any of the experiment.

    Args:
        analysis: of the runs that are compared.
        tuned: configurations of runs that only chose rates; those rates were tried,
            too.
    """
    # Of a rate that was tuned and compared, what is compared counts.
    known = [c for c in (*analysis.configurations, *tuned) if c.ended]
    if not OPTIMIZERS & {c.optimizer for c in known}:
        return []
    found = []
    adam, others = _of_rates(known, "adam")
    if len(adam) > 1:
        found.append(_but(_larger_rate(_larger(adam)), others))
        found.append(_but(_needs_rate(analysis, adam), others))
    sgd, others = _of_rates(known, "sgd")
    if sgd:
        found.append(_but(_sgd(sgd), others))
    if len(analysis.ranked) > 1:
        found.append(_order_later(analysis))
    return found


def _of_rates(
    known: Sequence[Configuration], optimizer: str
) -> tuple[list[Configuration], list[Configuration]]:
    """Return the most configurations that differ in their rate alone, and the rest.

    Where something else differs, too, it isn't the rate that makes a difference.
    """
    groups = group_by_rates([c for c in known if c.optimizer == optimizer])
    most = max(groups, key=len, default=[])
    rest = [c for group in groups if group is not most for c in group]
    return most, rest


def _but(claim: Claim, others: Sequence[Configuration]) -> Claim:
    """Return a claim that says which configurations it doesn't ask."""
    if not others:
        return claim
    labels = ", ".join(c.label for c in others)
    more = f"Not asked of what differs in more than its rate: {labels}."
    return dataclasses.replace(claim, answer=f"{claim.answer} {more}")


def _larger(points: Sequence[Configuration]) -> Configuration:
    """Return the notebook's larger rate beside its smaller one, else the largest."""
    by_rate = {c.learning_rate: c for c in points}
    if SMALLER in by_rate and LARGER in by_rate:
        return by_rate[LARGER]
    return points[-1]


def _larger_rate(largest: Configuration) -> Claim:
    labels = [label for row in largest.stages for label in row]
    collapsed = labels.count("collapsed")
    diverged = largest.num_diverged
    falls = [
        before["val_accuracy"] - after["val_accuracy"]
        > 2 * 2**0.5 * stages.standard_error(run.majority_share, run.num_validation)
        for run in largest.ended
        for before, after in itertools.pairwise(run.evaluations)
    ]
    num, of = largest.escaped.num, largest.escaped.of
    may = num + largest.num_unconfirmed
    if diverged > of / 2:
        verdict = "Neither: it diverges"
    elif collapsed > len(labels) / 2 and may < of / 2:
        verdict = "It collapses"
    # What goes up and down falls about every other time.
    elif sum(falls) >= max(2, len(falls) / 4):
        verdict = "It oscillates"
    elif num == of and not diverged:
        verdict = "Neither: it learns"
    else:
        verdict = "Mixed"
    return Claim(
        f"Does a larger rate ({largest.label}) oscillate or collapse?",
        f"{verdict}: one class was answered in {collapsed} of {len(labels)} "
        f"evaluation{'s' * (len(labels) != 1)}, accuracy fell from one to the next "
        f"by more than 2 standard errors of such a difference {sum(falls)} of "
        f"{len(falls)} times, and {_left(largest)}"
        f"{f', {diverged} diverged' if diverged else ''}.",
    )


def _left(configuration: Configuration) -> str:
    rate, perhaps = configuration.escaped, configuration.num_unconfirmed
    whose = "its start" if rate.of == 1 else "their start"
    more = f" and {perhaps} perhaps" if perhaps else ""
    return f"{rate.num} of {progression.count_runs(rate.of)} left {whose}{more}"


def _needs_rate(analysis: Analysis, adam: Sequence[Configuration]) -> Claim:
    order = sorted(adam, key=lambda c: -c.final.mean)
    best, worst = order[0], order[-1]
    pair = next(
        (
            c
            for c in analysis.comparisons
            if {c.one, c.other} == {best.label, worst.label}
        ),
        None,
    )
    gap = (
        f"{best.label} ends at {best.final.mean:.4f}, {worst.label} at "
        f"{worst.final.mean:.4f}"
    )
    if pair is None:
        verdict = "Not decided: their comparison was not declared"
    elif pair.is_distinguishable:
        verdict = "It needs one"
    else:
        verdict = "Not decided: the two are not distinguishable here"
    return Claim(
        "Does an adaptive optimizer need no learning rate?", f"{verdict}: {gap}."
    )


def _sgd(points: Sequence[Configuration]) -> Claim:
    question = "Is SGD bad, or its rate wrong?"
    tried = ", ".join(format_number(c.learning_rate) for c in points)
    counts = "; ".join(f"{c.label}: {_left(c)}" for c in points)
    learned = [c for c in points if 2 * c.escaped.num > c.escaped.of]
    if learned and len(learned) < len(points):
        best = max(learned, key=lambda c: c.final.mean)
        verdict = f"Its rate: {best.label} ends at {best.final.mean:.4f} ({counts})."
    elif learned:
        verdict = f"Neither: it learns at every rate tried ({counts})."
    elif len(points) == 1:
        verdict = (
            f"These runs cannot tell: at {tried}, the only rate tried, "
            f"{_left(points[0])}; Keras's default for sgd is 0.01. "
            "--optimizers=sgd --learning_rates=1e-3,1e-2,1e-1 would tell."
        )
    elif any(c.escaped.num or c.num_unconfirmed for c in points):
        verdict = f"Not decided: at no rate did most runs leave their start ({counts})."
    else:
        verdict = (
            f"These runs cannot tell: at none of the rates tried ({tried}) did a run "
            "leave its start."
        )
    return Claim(question, verdict)


def _order_later(analysis: Analysis) -> Claim:
    question = f"Does the order at epoch {EPOCHS} hold later?"
    whole = [r for c in analysis.ranked for r in c.ended if r.status == "done"]
    epochs = min((run.final["epoch"] for run in whole if run.evaluations), default=0)
    if epochs <= EPOCHS:
        seen = f"{epochs:.3g} epoch{'s' * (epochs != 1)}"
        cut = " and --max_steps" if analysis.budget_unit == "steps" else ""
        return Claim(
            question,
            f"These runs cannot tell: the shortest has {seen}. A larger --epochs{cut} "
            "would tell.",
        )
    early = progression.standings_at(analysis, EPOCHS)
    late = progression.standings_at(analysis, epochs)
    if not (early and late):
        return Claim(question, "These runs cannot tell: lines of some are missing.")
    swapped = _swapped(early, late)
    line = f"{_order(early)} at epoch {EPOCHS}, {_order(late)} at epoch {epochs:g}"
    if not swapped:
        return Claim(question, f"It holds in the means: {line}.")
    declared = [c for c in analysis.comparisons if {c.one, c.other} in swapped]
    shown = [c for c in declared if c.is_distinguishable]
    if not declared:
        known = "no comparison of what swapped was declared"
    elif len(swapped) == 1:
        known = f"the pair that swapped is{'' if shown else ' not'} distinguishable"
    else:
        known = (
            f"{len(shown)} of the {len(swapped)} pairs that swapped are distinguishable"
        )
    missing = len(swapped) - len(declared)
    if declared and missing:
        known += f", and {missing} were not declared"
    return Claim(question, f"It changes in the means: {line}; at the end {known}.")


def _swapped(early: Sequence[Standing], late: Sequence[Standing]) -> list[set[str]]:
    """Return the pairs of which the one that was ahead is behind."""
    now = {standing.label: standing.accuracy for standing in late}
    return [
        {ahead.label, behind.label}
        for ahead, behind in itertools.combinations(early, 2)
        if ahead.rank < behind.rank and now[ahead.label] < now[behind.label]
    ]


def _order(standings: Sequence[Standing]) -> str:
    """Return "a > b = c": equal ranks are equal."""
    words = [standings[0].label]
    for before, after in itertools.pairwise(standings):
        words += ["=" if before.rank == after.rank else ">", after.label]
    return " ".join(words)
