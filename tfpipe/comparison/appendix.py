"""The parts of a report that a doubter looks up."""

from collections.abc import Sequence

from tfpipe.comparison import analysis as study_analysis
from tfpipe.comparison import progression
from tfpipe.comparison.analysis import Analysis, Comparison, Configuration
from tfpipe.comparison.cells import (
    LETTERS,
    NOTHING,
    format_interval,
    format_spread,
    format_steps,
)
from tfpipe.comparison.document import Section, Table, Text
from tfpipe.comparison.results import RunResult
from tfpipe.training import stages


def tuning(runs: Sequence[RunResult]) -> Section | None:
    """Return the runs that only chose rates, None without any."""
    groups = study_analysis.group_runs(runs)
    if not groups:
        return None
    rows = [
        [
            label,
            ", ".join(str(run.config.run.seed) for run in group),
            format_spread(
                study_analysis.spread([run.final_accuracy() for run in ended])
            ),
        ]
        for label, group in groups.items()
        for ended in [[run for run in group if run.status in study_analysis.ENDED]]
    ]
    return Section(
        "Tuning",
        [
            Table(
                ["configuration", "seeds", "final accuracy"],
                rows,
                "Runs that only chose learning rates: each optimizer's best was "
                "trained again with fresh seeds, and those are compared.",
            )
        ],
        is_appendix=True,
    )


def undeclared(runs: Sequence[RunResult]) -> Section | None:
    """Return the runs of seeds that weren't declared, None without any."""
    rows = [
        [label, str(run.config.run.seed), *_end(run)]
        for label, group in study_analysis.group_runs(runs).items()
        for run in group
    ]
    if not rows:
        return None
    return Section(
        "Runs that were not declared",
        [Table(["configuration", "seed", "final accuracy", "status"], rows)],
        is_appendix=True,
    )


def _end(run: RunResult) -> list[str]:
    accuracy = f"{run.final['val_accuracy']:.4f}" if run.evaluations else NOTHING
    return [accuracy, run.status.replace("_", " ")]


def targets(analysis: Analysis) -> Section | None:
    """Return when runs came how far, on two clocks."""
    if not analysis.ranked:
        return None
    rows = [
        [
            f"{target.share:.0%}",
            f"{target.accuracy:.4f}",
            c.label,
            f"{target.num_reached}/{target.of}",
            format_steps(target.median_steps),
            format_steps(target.median_train_seconds),
        ]
        for index in range(len(stages.TARGETS))
        for c in analysis.ranked
        for target in [c.targets[index]]
        # A target that none reached is said once, below.
        if any(other.targets[index].num_reached for other in analysis.ranked)
    ]
    if not rows:
        return Section(
            "Time to targets",
            [Text("No run came a tenth of the way from the majority share to 1.")],
            is_appendix=True,
        )
    return Section(
        "Time to targets",
        [
            Table(
                [
                    "target",
                    "accuracy",
                    "configuration",
                    "reached",
                    "median step",
                    "median train seconds",
                ],
                rows,
                "Shares of the way from the majority share to 1, fixed beforehand; "
                "medians by Kaplan and Meier, runs that missed are censored. Targets "
                "that no run reached are left out.",
            )
        ],
        is_appendix=True,
    )


def runs(analysis: Analysis) -> Section | None:
    """Return a row a run, those that never began among them."""
    if not analysis.configurations:
        return None
    rows = []
    for configuration in analysis.configurations:
        for run in configuration.runs:
            rows.append(_run_row(configuration, run))
    return Section(
        "Every run",
        [
            Table(
                [
                    "configuration",
                    "seed",
                    "final accuracy",
                    "best (epoch)",
                    "left its start",
                    "stages",
                    "status",
                ],
                rows,
                "Final and best are as measured; left its start: after the first of "
                "these updates and by the second.",
            )
        ],
        is_appendix=True,
    )


def _run_row(configuration: Configuration, run: RunResult) -> list[str]:
    seed = str(run.settings["seed"])
    reason = f": {run.reason}" if run.reason else ""
    status = f"{run.status.replace('_', ' ')}{reason}"
    if not run.evaluations:
        labels = ["diverged"] if run.status == "diverged" else []
        stage = "".join(LETTERS[label] for label in labels) or NOTHING
        return [configuration.label, seed, *[NOTHING] * 3, stage, status]
    labels = study_analysis.stages_of(run)
    return [
        configuration.label,
        seed,
        f"{run.final['val_accuracy']:.4f}",
        f"{run.best['val_accuracy']:.4f} ({run.best['epoch']:.3g})",
        str(run.escape or ("perhaps at its last" if run.is_unconfirmed else "no")),
        "".join(LETTERS[label] for label in labels),
        status,
    ]


def matrix(analysis: Analysis) -> Section | None:
    """Return every comparison, whoever is best."""
    found = [c for c in analysis.comparisons if c.differences]
    if not found:
        return None
    return Section(
        "Every declared comparison" if analysis.is_declared else "Every pair",
        [
            Table(
                [
                    "one less other",
                    "replicates",
                    "paired difference (95 %)",
                    "unpaired (95 %)",
                    "correlation",
                    "p",
                    "corrected p",
                    "log-rank p of leaving the start",
                ],
                [_matrix_row(c) for c in found],
                "p: paired sign-flip test, corrected by Holm; all else describes.",
            )
        ],
        is_appendix=True,
    )


def _matrix_row(comparison: Comparison) -> list[str]:
    correlation = comparison.correlation
    return [
        f"{comparison.one} less {comparison.other}",
        str(len(comparison.differences)),
        format_interval(comparison.paired),
        format_interval(comparison.unpaired),
        NOTHING if correlation is None else f"{correlation:.2f}",
        f"{comparison.p:.2g}",
        f"{comparison.corrected_p:.2g}",
        f"{comparison.escape_p:.2g}",
    ]


def sensitivity(analysis: Analysis) -> Section | None:
    """Return what the stages would be with other thresholds."""
    rows = progression.sensitivity(analysis)
    if not rows or not rows[0].num_labels:
        return None
    names = [c.label for c in analysis.configurations if c.ended]
    return Section(
        "Other thresholds of the stages",
        [
            Table(
                ["threshold", *(f"{name} left" for name in names), "labels changed"],
                [
                    [
                        row.change,
                        *(str(row.escaped[name]) for name in names),
                        f"{row.num_changed} of {row.num_labels}",
                    ]
                    for row in rows
                ],
                "Runs that left their start, and stage labels that would be others.",
            )
        ],
        is_appendix=True,
    )
