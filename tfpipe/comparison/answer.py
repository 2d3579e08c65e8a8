"""What to train with, what isn't told apart from it, and what would change that."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from tfpipe.comparison import statistics as study_statistics
from tfpipe.comparison.analysis import Analysis, Comparison
from tfpipe.comparison.cells import LEAST_FOR_INTERVAL, format_range
from tfpipe.comparison.certificate import Check
from tfpipe.comparison.configurations import Configuration, group_by_rates
from tfpipe.comparison.labels import format_number, label_settings
from tfpipe.comparison.results import NEVER
from tfpipe.comparison.score import score_runs
from tfpipe.training import promise, stages
from tfpipe.training.config import RunConfig

NOT_SHOWN = "It is not shown to be better than any other."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer of a study, in sentences.

    Attributes:
        headline: the setting to use, or why there is none.
        command: that trains it, "" where there is none.
        beside: what isn't distinguishable from it, and what is.
        rates: how much tuning each optimizer needs.
        doubts: what would change the answer.
    """

    headline: str
    command: str
    beside: tuple[str, ...]
    rates: tuple[str, ...]
    doubts: tuple[str, ...]


def find_answer(
    analysis: Analysis, checks: Sequence[Check], tuned: Sequence[Configuration] = ()
) -> Answer:
    """Return the answer that runs give.

    Args:
        analysis: of the runs that are compared.
        checks: what they have in common.
        tuned: configurations of runs that only chose rates.
    """
    ranked = analysis.ranked
    if not ranked:
        return Answer(
            headline="No run has ended: there is no answer.",
            command="",
            beside=(),
            rates=(),
            doubts=("The same command continues the study.", *_unfinished(analysis)),
        )
    best = ranked[0]
    doubts = (*_doubts(analysis), *_brands(checks))
    is_known = any(
        run.escape and run.status != "diverged" for c in ranked for run in c.ended
    )
    if not is_known or not score_runs(best.ended).has_learned:
        if not any(c.num_unconfirmed for c in ranked):
            more = analysis.budget_unit
            doubts = (f"More {more}, or other learning rates.", *doubts)
        return Answer(
            headline=f"{_why_none(ranked)}: none of these settings can be recommended.",
            command="",
            beside=(),
            rates=(),
            doubts=doubts,
        )
    is_shown = any(_is_shown(c, best.label) for c in against(analysis, best.label))
    return Answer(
        headline=(
            f"Train with {best.label}: {describe_final(best)}; "
            f"{describe_escapes(best)}."
            f"{'' if is_shown or len(ranked) == 1 else ' ' + NOT_SHOWN}"
        ),
        command=_command(best),
        beside=_beside(analysis, best),
        rates=_rates(tuned or analysis.configurations),
        doubts=doubts,
    )


def _why_none(ranked: Sequence[Configuration]) -> str:
    if any(c.escaped.num for c in ranked):
        return "No run is known to have left its start without diverging"
    return "No run is known to have left its start"


def _command(best: Configuration) -> str:
    """Return the command that trains a configuration, of no replicate's seed."""
    config = best.ended[0].config
    default = RunConfig()
    return promise.train_command(
        config.replace(
            seed=default.run.seed,
            split_seed=default.data.split_seed,
            runs_dir=default.run.runs_dir,
            run_name="",
        ),
        # What the study found is said, be it a default.
        always=("optimizer", "learning_rate"),
    )


def describe_final(configuration: Configuration) -> str:
    """Return "validation accuracy 0.7997 at the end (mean of 8 runs, ...)"."""
    final = configuration.final
    count = len(final.values)
    words = f"validation accuracy {final.mean:.4f} at the end"
    if count == 1:
        return f"{words} (one run: no spread is known)"
    if count < LEAST_FOR_INTERVAL:
        return f"{words} (mean of {count} runs, {format_range(final)})"
    return (
        f"{words} (mean of {count} runs, 95 % interval {max(0.0, final.low):.4f} to "
        f"{min(1.0, final.high):.4f})"
    )


def describe_escapes(configuration: Configuration) -> str:
    """Return "8 of 8 runs left their start (rate 0.63 to 1.00), 2 diverged"."""
    rate, perhaps = configuration.escaped, configuration.num_unconfirmed
    more = f", {perhaps} more perhaps at the last evaluation" if perhaps else ""
    if configuration.num_diverged:
        more += f", {configuration.num_diverged} diverged"
    return (
        f"{rate.num} of {rate.of} run{'s' * (rate.of != 1)} left "
        f"{'their' if rate.of != 1 else 'its'} start (rate {rate.low:.2f} to "
        f"{rate.high:.2f}){more}"
    )


def describe_comparison(comparison: Comparison, alpha: float) -> str:
    """Return what a declared comparison says, the better one first."""
    mean, low, high = comparison.paired
    count = len(comparison.differences)
    one, other = comparison.one, comparison.other
    if not count:
        return f"{one} and {other}: no replicate in which both ended"
    values = comparison.differences
    if mean < 0:
        one, other, mean, low, high = other, one, -mean, -high, -low
        values = tuple(-value for value in values)
    ahead = sum(value > 0 for value in values)
    interval = "" if math.isnan(low) else f" (95 % {low:+.4f} to {high:+.4f})"
    verdict = (
        "distinguishable"
        if comparison.is_distinguishable
        else f"not distinguishable at {alpha:g}"
    )
    return (
        f"{one} less {other}: {mean:+.4f}{interval}, ahead in {ahead} of {count} "
        f"replicate{'s' * (count != 1)}, corrected p {comparison.corrected_p:.2g}: "
        f"{verdict}; leaving the start: log-rank p {comparison.escape_p:.2g}"
    )


def _is_shown(comparison: Comparison, label: str) -> bool:
    """Tell whether one of two configurations is shown to be the better one."""
    is_ahead = (comparison.paired[0] > 0) == (comparison.one == label)
    return comparison.is_distinguishable and is_ahead


def against(analysis: Analysis, label: str) -> list[Comparison]:
    """Return the declared comparisons of a configuration with others."""
    return [c for c in analysis.comparisons if label in (c.one, c.other)]


def _beside(analysis: Analysis, best: Configuration) -> tuple[str, ...]:
    found = against(analysis, best.label)
    others = [c.other if c.one == best.label else c.one for c in found]
    unknown, same, worse, better, higher = [], [], [], [], []
    means = {c.label: c.final.mean for c in analysis.ranked}
    for comparison, label in zip(found, others, strict=True):
        if not comparison.differences:
            unknown.append(label)
        elif not comparison.is_distinguishable:
            same.append(label)
        elif _is_shown(comparison, best.label):
            worse.append(label)
        elif means[label] <= best.final.mean:
            better.append(label)
        else:
            higher.append(label)
    lines = []
    if len(analysis.configurations) == 1:
        lines.append("It is the only configuration: nothing is compared.")
    if same:
        lines.append(f"Not distinguishable from it: {', '.join(same)}.")
    if worse:
        lines.append(f"Shown to be worse: {', '.join(worse)}.")
    if better:
        lines.append(
            "Shown to be better in the replicates that both ended, though not in the "
            f"mean of all: {', '.join(better)}."
        )
    if higher:
        lines.append(
            "Shown to be of higher accuracy, though no run of it is known to have left "
            f"its start without diverging: {', '.join(higher)}."
        )
    if unknown:
        lines.append(f"No replicate in which both ended: {', '.join(unknown)}.")
    undeclared = [
        c.label for c in analysis.ranked if c is not best and c.label not in others
    ]
    if undeclared:
        lines.append(
            "No comparison with it was declared, so that nothing is decided: "
            f"{', '.join(undeclared)}."
        )
    return tuple(lines)


def _rates(configurations: Sequence[Configuration]) -> tuple[str, ...]:
    """Return the rates within one SE of the best, for each optimizer.

    And for each other setting of it, where there are some.
    """
    lines: list[str] = []
    ended = [c for c in configurations if c.ended]
    for optimizer in dict.fromkeys(c.optimizer for c in ended):
        groups = group_by_rates([c for c in ended if c.optimizer == optimizer])
        rows = [points[0].runs[0].identity for points in groups]
        names = label_settings(rows, leave_out=("learning_rate", "split_seed"))
        lines += map(_describe_rates, names, groups)
    return tuple(lines)


def _describe_rates(name: str, points: Sequence[Configuration]) -> str:
    rates = ", ".join(format_number(c.learning_rate) for c in points)
    if len(points) == 1:
        return f"{name}: one rate tried ({rates})."
    if not any(score_runs(c.ended).has_learned for c in points):
        more = " without diverging" if any(c.escaped.num for c in points) else ""
        return (
            f"{name}: at none of {len(points)} rates ({rates}) did a run leave its "
            f"start{more}."
        )
    return _rate_range(name, points)


def _rate_range(name: str, points: Sequence[Configuration]) -> str:
    rates = [c.learning_rate for c in points]
    best = max(points, key=lambda c: score_runs(c.ended))
    near = [
        index
        for index, c in enumerate(points)
        if c.final.mean >= best.final.mean - _error(best)
    ]
    if len(near) == 1:
        words = "none of the others"
    elif near == list(range(near[0], near[-1] + 1)):
        words = f"{format_number(rates[near[0]])} to {format_number(rates[near[-1]])}"
    else:
        words = ", ".join(format_number(rates[index]) for index in near)
    edge = ""
    if best in (points[0], points[-1]):
        side = "smallest" if best is points[0] else "largest"
        edge = f"; the best is the {side} tried, so a better one may lie beyond"
    return (
        f"{name}: best at {format_number(rates[points.index(best)])} of "
        f"{len(points)} rates; within one standard error of it: {words}{edge}."
    )


def _error(configuration: Configuration) -> float:
    """Return the standard error of a mean; with one run, that of its pictures."""
    values = configuration.final.values
    if len(values) > 1:
        return statistics.stdev(values) / math.sqrt(len(values))
    run = configuration.ended[0]
    return stages.standard_error(values[0], run.num_validation)


def _doubts(analysis: Analysis) -> tuple[str, ...]:
    doubts = []
    more = f"more {analysis.budget_unit}"
    unconfirmed = [c for c in analysis.configurations if c.num_unconfirmed]
    if unconfirmed:
        runs = ", ".join(
            f"{c.label} {c.num_unconfirmed} of {len(c.ended)}" for c in unconfirmed
        )
        doubts.append(
            "Above the start at the last evaluation alone, and so not counted as "
            f"having left it: {runs}; one more evaluation would tell."
        )
    improving = [c for c in analysis.configurations if c.num_improving]
    if improving:
        counts = ", ".join(
            f"{c.label} {c.num_improving} of {len(c.ended)}" for c in improving
        )
        doubts.append(
            f"Runs were still improving when the budget ended ({counts}): {more} may "
            "change the order."
        )
    diverged = [
        f"{c.label} {c.num_diverged} of {len(c.ended)}"
        for c in analysis.configurations
        if 0 < c.num_diverged < len(c.ended)
    ]
    if diverged:
        doubts.append(
            f"Some runs diverged ({', '.join(diverged)}), which {more} don't mend: a "
            "smaller learning rate or clipped gradients may."
        )
    waiting = [
        c.label for c in analysis.configurations if c.escaped.num and _may_leave(c)
    ]
    if waiting:
        doubts.append(
            f"Of {', '.join(waiting)} only some runs left their start: whether one "
            f"does is a matter of the seed or of {more}."
        )
    pairs = [len(c.differences) for c in analysis.comparisons]
    declared = len(analysis.declared["comparisons"])
    alpha = analysis.declared["alpha"]
    if pairs and study_statistics.smallest_p(max(pairs), declared) > alpha:
        needed = study_statistics.replicates_needed(declared, alpha)
        doubts.append(
            f"With {max(pairs)} replicate{'s' * (max(pairs) != 1)} and {declared} "
            f"comparison{'s' * (declared != 1)} nothing can be significant; {needed} "
            f"are needed (--replicates={needed})."
        )
    return (*doubts, *_unfinished(analysis))


def _may_leave(configuration: Configuration) -> bool:
    """Tell whether a run is still at its start that a larger budget may bring away."""
    return any(
        run.status not in NEVER and not run.escape and not run.is_unconfirmed
        for run in configuration.ended
    )


def _unfinished(analysis: Analysis) -> tuple[str, ...]:
    """Return which runs count nowhere, () where all do."""
    found = [
        f"{c.label} seed {run.settings['seed']} ({run.status.replace('_', ' ')})"
        for c in analysis.configurations
        for run in c.runs
        if not any(run is ended for ended in c.ended)
    ]
    if not found:
        return ()
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    return (f"Counted nowhere: {', '.join(found[:4])}{more}.",)


def _brands(checks: Sequence[Check]) -> tuple[str, ...]:
    return tuple(f"Runs differ in {check}." for check in checks if check.is_brand)
