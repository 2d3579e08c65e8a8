"""What a report says, the answer first: an analysis as a document."""

from collections.abc import Sequence
from typing import Any

from tfpipe.comparison import analysis as study_analysis
from tfpipe.comparison import answer as study_answer
from tfpipe.comparison import appendix, certificate, claims, declaration, progression
from tfpipe.comparison.analysis import Analysis, Configuration
from tfpipe.comparison.cells import (
    LETTERS,
    NOTHING,
    format_spread,
    format_stages,
    format_steps,
)
from tfpipe.comparison.certificate import Check
from tfpipe.comparison.document import (
    Bullets,
    Command,
    Document,
    Figure,
    Part,
    Section,
    Table,
    Text,
)
from tfpipe.comparison.results import RunResult
from tfpipe.training import stages


def build_document(
    results: Sequence[RunResult], study: dict[str, Any] | None
) -> Document:
    """Return the report of some runs.

    Args:
        results: all of them.
        study: what `declaration.read_declaration` returned; None where nothing was
            declared.
    """
    declared = last_declared(study)
    analysis = study_analysis.analyse(results, declared)
    checks = certificate.certify(results, declared)
    answer = study_answer.find_answer(analysis, checks)
    sections = [
        _answer_section(answer),
        _table_section(analysis),
        _comparison_section(analysis),
        _stage_section(analysis),
        _claims_section(analysis),
        _declared_section(study),
        _certificate_section(checks),
        appendix.targets(analysis),
        appendix.runs(analysis),
        appendix.matrix(analysis),
        appendix.sensitivity(analysis),
    ]
    return Document(
        title=_title(analysis),
        banners=_banners(results, analysis, checks, study),
        sections=[section for section in sections if section and section.parts],
    )


def last_declared(study: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what a study.json asks now: its last change, if there is one."""
    if study is None:
        return None
    declared: dict[str, Any] = (study["changes"] or [study])[-1]["declared"]
    return declared


def _title(analysis: Analysis) -> str:
    names = [c.label for c in analysis.configurations]
    if len(names) > 4:
        optimizers = {
            c.runs[0].settings["optimizer"]: None for c in analysis.configurations
        }
        return f"{len(names)} configurations of {', '.join(optimizers)}"
    return ", ".join(names)


def _banners(
    results: Sequence[RunResult],
    analysis: Analysis,
    checks: Sequence[Check],
    study: dict[str, Any] | None,
) -> list[str]:
    """Return what every number below must be read with."""
    lines = [
        f"Not comparable: runs differ in {check}" for check in checks if check.is_brand
    ]
    improving = sum(c.num_improving for c in analysis.configurations)
    ended = sum(len(c.ended) for c in analysis.configurations)
    if improving:
        lines.append(
            f"Still improving at the end: {improving} of {ended} runs have their best "
            "epoch in the last quarter of the budget; more epochs may change the order"
        )
    shortened = dict.fromkeys(words for r in results for words in r.shortened)
    if shortened:
        lines.append(f"Less than a whole run: {'; '.join(shortened)}")
    if study is None:
        lines.append("Not declared beforehand: there is no study.json beside the runs")
    elif study["runs_begun_before"]:
        lines.append(
            f"Declared after {study['runs_begun_before']} of its runs had begun"
        )
    elif study["changes"]:
        lines.append(
            "Declared before its first run and changed since: see What was declared"
        )
    return lines


def _answer_section(answer: study_answer.Answer) -> Section:
    parts: list[Part] = [Text(answer.headline)]
    if answer.command:
        parts.append(Command(answer.command))
    if answer.beside:
        parts.append(Bullets(answer.beside))
    if answer.rates:
        parts += [Text("How much tuning each needs:"), Bullets(answer.rates)]
    if answer.doubts:
        parts += [Text("What would change this:"), Bullets(answer.doubts)]
    return Section("Answer", parts)


def _table_section(analysis: Analysis) -> Section:
    rows = [_row(c) for c in analysis.configurations]
    columns = [
        "configuration",
        "left its start",
        "median step",
        "final accuracy",
        "of those that left",
        "best accuracy",
        "test at best",
        "train seconds",
    ]
    if not any(c.test_best for c in analysis.configurations):
        columns.pop(6)
        rows = [row[:6] + row[7:] for row in rows]
    run = next((r for c in analysis.configurations for r in c.ended), None)
    caption = "Validation accuracy, mean of the runs of each configuration (95 % t)."
    if run:
        low, high = _noise(run)
        caption += (
            f" One class is {run.majority_share:.4f} of {run.num_validation:,} "
            f"validation pictures, whose own noise is {low:.4f} to {high:.4f} there "
            "(Wilson, 95 %). A run that diverged counts with the majority share."
        )
    return Section(
        "Configurations",
        [
            Table(columns, rows, caption, is_main=True),
            Figure(
                "val_accuracy",
                "Validation accuracy: each run thin, the median of each configuration "
                "thick.",
            ),
        ],
    )


def _noise(run: RunResult) -> tuple[float, float]:
    error = 1.96 * stages.standard_error(run.majority_share, run.num_validation)
    return run.majority_share - error, run.majority_share + error


def _row(configuration: Configuration) -> list[str]:
    c = configuration
    return [
        c.label,
        f"{c.escaped.num}/{c.escaped.of}",
        format_steps(c.escape.median) if c.ended else NOTHING,
        format_spread(c.final),
        format_spread(c.final_escaped),
        format_spread(c.best),
        format_spread(c.test_best),
        f"{c.train_seconds.mean:,.0f}" if c.train_seconds.values else NOTHING,
    ]


def _comparison_section(analysis: Analysis) -> Section | None:
    if not analysis.comparisons or not analysis.ranked:
        return None
    alpha = analysis.declared["alpha"]
    baseline = analysis.declared["baseline_run"]
    label = baseline or analysis.ranked[0].label
    found = study_answer.against(analysis, label)
    what = "the baseline" if baseline else "the best"
    return Section(
        f"Compared with {what}, {label}",
        [
            Bullets([study_answer.describe_comparison(c, alpha) for c in found]),
            Text(
                "Distinguishable is what the paired sign-flip test over replicates "
                f"says after Holm's correction over all "
                f"{len(analysis.declared['comparisons'])} declared comparisons, at "
                f"{alpha:g}. Intervals describe."
            ),
        ],
    )


def _stage_section(analysis: Analysis) -> Section:
    parts: list[Part] = []
    for order in progression.stage_orders(analysis):
        rows = [[str(n), *row] for n, row in enumerate(order.rows, start=1)]
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
    note = " * on a probe, before any full evaluation." if is_probe else ""
    return Table(
        columns,
        [[label, *row] for label, row in cells.items()],
        f"Rank by mean validation accuracy along the budget.{note}",
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
        "evaluations later.",
    )


def _claims_section(analysis: Analysis) -> Section | None:
    found = claims.answer_claims(analysis)
    if not found:
        return None
    return Section(
        "The notebook's conclusions",
        [Bullets([f"{claim.question} {claim.answer}" for claim in found])],
    )


def _declared_section(study: dict[str, Any] | None) -> Section:
    if study is None:
        return Section(
            "What was declared",
            [
                Text(
                    "Nothing: these runs have no study.json. Every pair is compared, "
                    "which is decided after the fact."
                )
            ],
        )
    first = study["declared"]
    when = (
        "before its first run"
        if not study["runs_begun_before"]
        else f"after {study['runs_begun_before']} of its runs had begun"
    )
    parts: list[Part] = [
        Text(
            f"Declared {when}, {study['time']}, sha256 {study['sha256'][:16]}: "
            f"{len(first['configurations'])} configurations, seeds "
            f"{', '.join(map(str, first['seeds']))}, {first['epochs']} epochs, metric "
            f"{first['metric']} at {first['metric_at']}, {first['test']}."
        )
    ]
    power = declaration.describe_power((study["changes"] or [study])[-1]["declared"])
    if power:
        parts.append(Text(f"{power[0].upper()}{power[1:]}."))
    if study["changes"]:
        parts += [
            Text("Changed since:"),
            Bullets(
                [
                    f"{change['time']}, with {change['runs_begun_before']} runs begun: "
                    f"{', '.join(change['different'])}; reason: "
                    f"{change['reason'] or 'none given'}"
                    for change in study["changes"]
                ]
            ),
        ]
    return Section("What was declared", parts)


def _certificate_section(checks: Sequence[Check]) -> Section:
    different = [str(c) for c in checks if c.is_brand]
    factors = [
        f"{c.name}: {', '.join(c.groups)}"
        for c in checks
        if c.is_factor and not c.matches
    ]
    same = [c for c in checks if c.matches]
    parts: list[Part] = []
    if different:
        parts += [Text("Runs differ in, and mustn't:"), Bullets(different)]
    else:
        parts.append(Text("Nothing that must match differs."))
    if factors:
        parts += [Text("What the study is about:"), Bullets(factors)]
    words = [f"{check.name}={next(iter(check.groups))}" for check in same]
    parts += [Text(f"All runs share: {', '.join(words)}.")]
    return Section("Certificate", parts)
