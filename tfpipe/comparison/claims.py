"""What the notebook concluded from one seed of four runs, asked of these runs."""

import dataclasses
from collections.abc import Sequence

from tfpipe.comparison import progression
from tfpipe.comparison.analysis import Analysis, Configuration
from tfpipe.comparison.results import format_number
from tfpipe.training import stages


@dataclasses.dataclass(frozen=True)
class Claim:
    """A question the notebook raised, and what these runs say."""

    question: str
    answer: str


def answer_claims(analysis: Analysis) -> list[Claim]:
    """Return each claim whose runs are there, [] without any of the experiment."""
    by_optimizer: dict[str, list[Configuration]] = {}
    for configuration in analysis.configurations:
        if configuration.ended:
            optimizer = configuration.runs[0].settings["optimizer"]
            by_optimizer.setdefault(optimizer, []).append(configuration)
    for configurations in by_optimizer.values():
        configurations.sort(key=_rate)
    found = []
    adam = by_optimizer.get("adam", [])
    if len(adam) > 1:
        found.append(_larger_rate(adam[-1]))
        found.append(_needs_rate(analysis, adam))
    if by_optimizer.get("sgd"):
        found.append(_sgd(by_optimizer["sgd"]))
    if len(analysis.ranked) > 1:
        found.append(_order_later(analysis))
    return found


def _rate(configuration: Configuration) -> float:
    return float(configuration.runs[0].settings["learning_rate"])


def _larger_rate(largest: Configuration) -> Claim:
    labels = [label for row in largest.stages for label in row]
    collapsed = labels.count("collapsed")
    swings = [
        abs(after["val_accuracy"] - before["val_accuracy"])
        > 2 * stages.standard_error(run.majority_share, run.num_validation)
        for run in largest.ended
        for before, after in zip(run.evaluations, run.evaluations[1:], strict=False)
    ]
    if collapsed > len(labels) / 2:
        verdict = "It collapses"
    elif swings and sum(swings) > len(swings) / 2 and not largest.escaped.num:
        verdict = "It oscillates"
    elif largest.escaped.num == largest.escaped.of:
        verdict = "Neither: it learns"
    else:
        verdict = "Mixed"
    return Claim(
        f"Does a larger rate ({largest.label}) oscillate or collapse?",
        f"{verdict}: one class was answered in {collapsed} of {len(labels)} "
        f"evaluations, accuracy moved by more than 2 standard errors in {sum(swings)} "
        f"of {len(swings)} epochs, and {largest.escaped.num} of {largest.escaped.of} "
        "runs left their start.",
    )


def _needs_rate(analysis: Analysis, adam: Sequence[Configuration]) -> Claim:
    best = max(adam, key=lambda c: c.final.mean)
    worst = min(adam, key=lambda c: c.final.mean)
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
    tried = ", ".join(format_number(_rate(c)) for c in points)
    learned = [c for c in points if c.escaped.num]
    if learned and len(learned) < len(points):
        best = max(learned, key=lambda c: c.final.mean)
        return Claim(
            question,
            f"Its rate: of {tried}, {best.label} ends at {best.final.mean:.4f} and "
            f"{best.escaped.num} of {best.escaped.of} runs left their start.",
        )
    if learned:
        return Claim(question, f"Neither: it learns at every rate tried ({tried}).")
    if len(points) == 1:
        return Claim(
            question,
            f"These runs cannot tell: at {tried}, the only rate tried, "
            f"{points[0].escaped.num} of {points[0].escaped.of} runs left their start; "
            "Keras's default for sgd is 0.01. "
            "--optimizers=sgd --learning_rates=1e-3,1e-2,1e-1 would tell.",
        )
    return Claim(question, f"It left its start at none of the rates tried ({tried}).")


def _order_later(analysis: Analysis) -> Claim:
    question = "Does the order at epoch 5 hold later?"
    epochs = (
        min(
            max((e["epoch"] for e in run.evaluations), default=0)
            for c in analysis.ranked
            for run in c.ended
            if run.status != "diverged"
        )
        if any(r.status != "diverged" for c in analysis.ranked for r in c.ended)
        else 0
    )
    if epochs <= 5:
        return Claim(
            question,
            f"These runs cannot tell: they have {epochs:g} epochs. A larger --epochs "
            "continues them.",
        )
    early = [s.label for s in progression.standings(analysis, 5 / epochs)]
    late = [s.label for s in progression.standings(analysis, 1.0)]
    same = early == late
    return Claim(
        question,
        f"{'It holds' if same else 'It changes'} until epoch {epochs:g}: "
        f"{' > '.join(early)} at epoch 5, {' > '.join(late)} at the end.",
    )
