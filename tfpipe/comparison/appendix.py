"""The parts of a report that a doubter looks up."""

import math
from collections.abc import Sequence

from tfpipe.comparison import progression
from tfpipe.comparison.analysis import Analysis, Comparison
from tfpipe.comparison.cells import (
    LETTERS,
    NOTHING,
    format_interval,
    format_short,
    format_spread,
)
from tfpipe.comparison.configurations import Configuration, group_runs, stages_of
from tfpipe.comparison.document import Part, Section, Table
from tfpipe.comparison.results import RunResult


def tuning(configurations: Sequence[Configuration]) -> Section | None:
    """Return the runs that only chose rates, None without any."""
    if not configurations:
        return None
    rows = [
        [
            c.label,
            ", ".join(str(run.settings["seed"]) for run in c.runs),
            f"{c.escaped.num} of {c.escaped.of}",
            format_spread(c.final),
        ]
        for c in configurations
    ]
    return Section(
        "Tuning",
        [
            Table(
                ["configuration", "seeds", "left its start", "final accuracy"],
                rows,
                "Runs that only chose learning rates: each optimizer's best was "
                "trained again with fresh seeds, and those are compared.",
            )
        ],
        is_appendix=True,
    )


def undeclared(runs: Sequence[RunResult]) -> Section | None:
    """Return the runs that weren't declared, None without any."""
    rows = [
        [label, str(run.config.run.seed), *_end(run)]
        for label, group in group_runs(runs).items()
        for run in group
    ]
    if not rows:
        return None
    return Section(
        "Runs that are not declared",
        [Table(["configuration", "seed", "final accuracy", "status"], rows)],
        is_appendix=True,
    )


def _end(run: RunResult) -> list[str]:
    accuracy = f"{run.final['val_accuracy']:.4f}" if run.evaluations else NOTHING
    return [accuracy, run.status.replace("_", " ")]


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
    labels = stages_of(run)
    return [
        configuration.label,
        seed,
        f"{run.final['val_accuracy']:.4f}",
        f"{run.best['val_accuracy']:.4f} ({format_short(run.best['epoch'])})",
        str(run.escape or ("perhaps" if run.is_unconfirmed else "no")),
        "".join(LETTERS[label] for label in labels),
        status,
    ]


def matrix(analysis: Analysis) -> Section | None:
    """Return every comparison, whoever is best, and the pairs that weren't declared."""
    columns = [
        "one less other",
        "replicates",
        "paired difference (95 %)",
        "unpaired (95 %)",
        "correlation",
        "p",
        "corrected p",
        "log-rank p of leaving the start",
    ]
    tables = [
        (
            analysis.comparisons,
            "p: paired sign-flip test, corrected by Holm; all else describes.",
        ),
        (
            analysis.others,
            "Pairs that were not declared: p is corrected for nothing and decides "
            "nothing.",
        ),
    ]
    parts: list[Part] = [
        Table(columns, rows, caption)
        for comparisons, caption in tables
        if (rows := [_matrix_row(c) for c in comparisons if c.differences])
    ]
    title = "Every comparison" if analysis.is_declared else "Every pair"
    return Section(title, parts, is_appendix=True) if parts else None


def _matrix_row(comparison: Comparison) -> list[str]:
    correlation, corrected = comparison.correlation, comparison.corrected_p
    return [
        f"{comparison.one} less {comparison.other}",
        str(len(comparison.differences)),
        format_interval(comparison.paired),
        format_interval(comparison.unpaired),
        NOTHING if correlation is None else f"{correlation:.2f}",
        f"{comparison.p:.2g}",
        NOTHING if math.isnan(corrected) else f"{corrected:.2g}",
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
