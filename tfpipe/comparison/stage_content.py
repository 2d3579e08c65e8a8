"""The part of a report that goes through training stage by stage."""

from tfpipe.comparison import plots, progression
from tfpipe.comparison.analysis import Analysis
from tfpipe.comparison.cells import LETTERS, NOTHING, format_stages
from tfpipe.comparison.document import (
    Bullets,
    Figure,
    Part,
    Section,
    Table,
    Text,
)


def describe_stages(analysis: Analysis) -> Section | None:
    """Return who wins which stage, None without a run that ended."""
    if not analysis.ranked:
        return None
    parts: list[Part] = []
    for order in progression.stage_orders(analysis):
        values = [value for _, value in order.rows]
        rows = [[str(values.index(row[1]) + 1), *row] for row in order.rows]
        parts.append(
            Table(
                ["rank", "configuration", "value"],
                rows,
                f"{order.stage.capitalize()}: {order.measure}.",
                is_main=True,
            )
        )
    ranks = _rank_table(analysis)
    if ranks:
        parts.append(ranks)
    parts.append(
        Table(
            ["configuration", "stages of its runs, evaluation by evaluation"],
            [[c.label, format_stages(c.stages)] for c in analysis.ranked],
            ", ".join(f"{letter} {name}" for name, letter in LETTERS.items()) + ".",
        )
    )
    plateaus = [
        line
        for line in map(progression.describe_plateaus, analysis.configurations)
        if line
    ]
    if plateaus:
        parts += [Text("What diagnostics say of the start:"), Bullets(plateaus)]
    aligned = _aligned_table(analysis)
    if aligned:
        parts.append(aligned)
        words = f"{plots.ALIGNED.title}: each run thin, medians thick."
        parts.append(Figure(plots.ALIGNED.stem, words))
    return Section("Stage by stage", parts)


def _rank_table(analysis: Analysis) -> Table | None:
    columns, is_probe = ["configuration"], False
    cells: dict[str, list[str]] = {}
    for share in progression.SHARES:
        standings = progression.standings(analysis, share)
        if not standings:
            continue
        probe = standings[0].is_probe
        is_probe = is_probe or probe
        columns.append(f"{share:.0%}{'*' if probe else ''} of the budget")
        for standing in standings:
            cells.setdefault(standing.label, []).append(
                f"{standing.rank} ({standing.accuracy:.4f})"
            )
    if not cells:
        return None
    note = (
        " * on a probe, before any full evaluation: a small part of validation, in "
        "which one class may have another share."
        if is_probe
        else ""
    )
    return Table(
        columns,
        [[label, *row] for label, row in cells.items()],
        "Rank by mean validation accuracy along the budget, at the last evaluation by "
        f"then; differences within noise are ranked, too.{note}",
    )


def _aligned_table(analysis: Analysis) -> Table | None:
    curves = {c.label: progression.aligned(c.ended) for c in analysis.ranked}
    curves = {label: curve for label, curve in curves.items() if curve}
    if not curves:
        return None
    longest = max(map(len, curves.values()))
    shown = sorted({*range(min(longest, 5)), *range(0, longest, 5), longest - 1})
    rows = [
        [
            label,
            *(
                f"{curve[n][0]:.4f} ({curve[n][1]})" if n < len(curve) else NOTHING
                for n in shown
            ),
        ]
        for label, curve in curves.items()
    ]
    return Table(
        ["configuration", *map(str, shown)],
        rows,
        "Aligned where runs left their start: mean accuracy (and runs) so many "
        "evaluations later. Where fewer runs are left, they are those that left early.",
    )
