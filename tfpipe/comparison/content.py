"""What a report says, the answer first: an analysis as a document."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfpipe.comparison import answer as study_answer
from tfpipe.comparison import (
    appendix,
    certificate,
    claims,
    declaration,
    progression,
    statistics,
)
from tfpipe.comparison.analysis import Analysis, Configuration
from tfpipe.comparison.cells import (
    LETTERS,
    NOTHING,
    format_rate,
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
from tfpipe.comparison.findings import Findings
from tfpipe.comparison.results import RunResult
from tfpipe.training import stages


def build_document(found: Findings) -> Document:
    """Return the report of a study."""
    analysis, checks, study = found.analysis, found.checks, found.study
    parts = found.stages
    answer = study_answer.find_answer(analysis, checks)
    sections = [
        _answer_section(answer),
        _table_section(analysis),
        _comparison_section(analysis),
        _stage_section(analysis),
        _claims_section(analysis),
        _declared_section(study),
        _certificate_section(checks),
        appendix.tuning(parts.tuning),
        appendix.undeclared(parts.undeclared),
        appendix.targets(analysis),
        appendix.runs(analysis),
        appendix.matrix(analysis),
        appendix.sensitivity(analysis),
    ]
    return Document(
        title=_title(analysis),
        banners=[
            *_banners(analysis, checks, study),
            *_undeclared_banners(parts.compared, parts.undeclared, parts.declared),
        ],
        sections=[section for section in sections if section and section.parts],
    )


def _title(analysis: Analysis) -> str:
    names = [c.label for c in analysis.configurations]
    if not names:
        return "A study without runs"
    if len(names) > 4:
        optimizers = {
            c.runs[0].settings["optimizer"]: None for c in analysis.configurations
        }
        return f"{len(names)} configurations of {', '.join(optimizers)}"
    return ", ".join(names)


def _banners(
    analysis: Analysis, checks: Sequence[Check], study: dict[str, Any] | None
) -> list[str]:
    """Return what every number below must be read with."""
    lines = [
        f"Not comparable: runs differ in {check}" for check in checks if check.is_brand
    ]
    ended = [run for c in analysis.configurations for run in c.ended]
    improving = sum(c.num_improving for c in analysis.configurations)
    if improving:
        lines.append(
            f"Still improving at the end: {improving} of "
            f"{progression.count_runs(len(ended))}; more epochs may change the order"
        )
    shortened = dict.fromkeys(words for run in ended for words in run.shortened)
    if shortened:
        lines.append(f"Less than a whole run: {'; '.join(shortened)}")
    shared = sum(run.shared_machine > 0 for run in ended)
    if shared:
        lines.append(
            f"Seconds are those of a shared machine: {shared} of "
            f"{progression.count_runs(len(ended))} trained beside others"
        )
    missing = _missing(analysis)
    if missing:
        lines.append(f"Not all runs have ended: {len(ended)} of {len(ended) + missing}")
    return lines + _declaration_banners(study)


def _missing(analysis: Analysis) -> int:
    """Return how many replicates, known or declared, have not ended."""
    known, ended = set(), set()
    for c in analysis.configurations:
        known |= {(c.label, run.settings["seed"]) for run in c.runs}
        ended |= {(c.label, run.settings["seed"]) for run in c.ended}
    for label in analysis.declared.get("configurations", {}):
        known |= {(label, seed) for seed in analysis.declared["seeds"]}
    return len(known - ended)


def _declaration_banners(study: dict[str, Any] | None) -> list[str]:
    if study is None:
        return ["Not declared beforehand: there is no study.json beside the runs"]
    lines = []
    if study["runs_begun_before"]:
        lines.append(f"Declared after {_begun(study)} had begun")
    late = [change for change in study["changes"] if change["runs_begun_before"]]
    if late:
        lines.append(
            f"Declared otherwise after {_begun(late[-1])} had begun: see What was "
            "declared"
        )
    now = declaration.last_declared(study)
    used = {
        "stages": dataclasses.asdict(stages.DEFAULT),
        "targets": list(stages.TARGETS),
    }
    other = [name for name in used if now and now[name] != used[name]]
    if other:
        lines.append(f"Drawn with other {' and '.join(other)} than were declared")
    return lines


def _undeclared_banners(
    compared: Sequence[RunResult],
    undeclared: Sequence[RunResult],
    declared: dict[str, Any] | None,
) -> list[str]:
    """Return in what the runs aren't those that were declared."""
    if declared is None:
        return []
    lines = []
    if undeclared:
        seeds = sorted({run.config.run.seed for run in undeclared})
        lines.append(
            f"Left out: {progression.count_runs(len(undeclared))} of seeds that were "
            f"not declared ({', '.join(map(str, seeds))})"
        )
    epochs = sorted({run.config.run.epochs for run in compared} - {declared["epochs"]})
    if epochs:
        lines.append(
            f"Trained for {', '.join(map(str, epochs))} epochs, declared were "
            f"{declared['epochs']}"
        )
    fingerprints = {r.facts["dataset_fingerprint"] for r in compared if r.facts}
    if fingerprints - {declared["dataset_fingerprint"]}:
        lines.append("Trained on other records than were declared")
    return lines


def _begun(entry: dict[str, Any]) -> str:
    count = entry["runs_begun_before"]
    return f"{count} of its runs" if count > 1 else "one of its runs"


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


def _table_section(analysis: Analysis) -> Section | None:
    if not analysis.configurations:
        return None
    rows = [_row(c) for c in analysis.configurations]
    columns = [
        "configuration",
        "left its start",
        "median step",
        "final accuracy",
        "of those that left",
        "best accuracy",
        "test at the end",
        "test at best",
        "train seconds",
    ]
    if not any(c.test_best for c in analysis.configurations):
        del columns[6:8]
        rows = [row[:6] + row[8:] for row in rows]
    ended = [run for c in analysis.configurations for run in c.ended]
    caption = (
        "Validation accuracy, mean of the runs of each configuration and its 95 % "
        "interval by Student's t; runs that left their start with the exact 95 % "
        "interval of the rate, and the median step by Kaplan and Meier."
    )
    return Section(
        "Configurations",
        [
            Table(columns, rows, caption + _describe_noise(ended), is_main=True),
            Figure(
                "val_accuracy",
                "Validation accuracy: each run thin, the median of each configuration "
                "thick.",
            ),
        ],
    )


def _describe_noise(ended: Sequence[RunResult]) -> str:
    """Say what chance gives, and what diverged runs count as, "" without runs."""
    if not ended:
        return ""
    run = max(ended, key=lambda run: run.majority_share)
    share, num = run.majority_share, run.num_validation
    low, high = statistics.wilson(round(share * num), num)
    at_most = len({run.majority_share for run in ended}) > 1
    words = (
        f" The largest class is {'at most ' if at_most else ''}{share:.4f} of {num:,} "
        f"validation pictures; an accuracy like that is known to {low:.4f} to "
        f"{high:.4f} (Wilson, 95 %)."
    )
    if any(run.status == "diverged" for run in ended):
        words += " A run that diverged counts with the largest class's share."
    return words


def _row(configuration: Configuration) -> list[str]:
    c = configuration
    return [
        c.label,
        format_rate(c.escaped),
        format_steps(c.escape.median) if c.ended else NOTHING,
        format_spread(c.final),
        format_spread(c.final_escaped),
        format_spread(c.best),
        format_spread(c.test_final),
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
    if not found:
        return None
    what = "the baseline" if baseline else "the best"
    count = len(analysis.declared["comparisons"])
    kind = "declared comparison" if analysis.is_declared else "pair"
    over = f"all {count} {kind}s" if count > 1 else f"the one {kind}"
    return Section(
        f"Compared with {what}, {label}",
        [
            Bullets([study_answer.describe_comparison(c, alpha) for c in found]),
            Text(
                "Distinguishable is what the paired sign-flip test over replicates "
                f"says after Holm's correction over {over}, at {alpha:g}. It asks "
                "whether two are the same: one that mostly wins by little and seldom "
                "loses by much is told apart, too. Intervals describe."
            ),
        ],
    )


def _stage_section(analysis: Analysis) -> Section | None:
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
        f"Rank by mean validation accuracy along the budget; differences within noise "
        f"are ranked, too.{note}",
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
    begun = study["runs_begun_before"]
    when = f"after {_begun(study)} had begun" if begun else "before its first run"
    num, epochs = len(first["configurations"]), first["epochs"]
    parts: list[Part] = [
        Text(
            f"Declared {when}, {study['time']}, sha256 {study['sha256'][:16]}: "
            f"{num} configuration{'s' * (num != 1)}, "
            f"seed{'s' * (len(first['seeds']) != 1)} "
            f"{', '.join(map(str, first['seeds']))}, {epochs} "
            f"epoch{'s' * (epochs != 1)}, metric "
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
                    f"{change['time']}, with "
                    f"{progression.count_runs(change['runs_begun_before'])} begun: "
                    f"{', '.join(change['different'])}; reason: "
                    f"{change['reason'] or 'none given'}"
                    for change in study["changes"]
                ]
            ),
        ]
    return Section("What was declared", parts)


def _certificate_section(checks: Sequence[Check]) -> Section:
    if not checks:
        return Section("Certificate", [Text("No run has begun: nothing is known.")])
    different = [str(c) for c in checks if c.is_brand]
    trials = [c for c in checks if c.name == certificate.TRIALS and not c.matches]
    factors = [
        f"{c.name}: {', '.join(c.groups)}"
        for c in checks
        if c.is_factor and not c.matches and c not in trials
    ]
    parts: list[Part] = []
    if different:
        parts += [Text("Runs differ in, and mustn't:"), Bullets(different)]
    else:
        parts.append(Text("Nothing that must match differs."))
    if factors:
        parts += [Text("What the study is about:"), Bullets(factors)]
    parts += [
        Text(f"More trials find a better best; here they differ: {check}.")
        for check in trials
    ]
    words = [f"{c.name}={next(iter(c.groups))}" for c in checks if c.matches]
    parts += [Text(f"All runs share: {', '.join(words)}.")]
    return Section("Certificate", parts)
