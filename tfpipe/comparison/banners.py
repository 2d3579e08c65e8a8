"""What every number of a report must be read with: lines above all of it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfpipe.comparison import declaration, progression
from tfpipe.comparison.analysis import Analysis
from tfpipe.comparison.findings import Findings
from tfpipe.comparison.results import RunResult
from tfpipe.training import stages


def list_banners(found: Findings) -> list[str]:
    """Return what every number below must be read with, a line each."""
    analysis, parts = found.analysis, found.parts
    lines = [
        f"Not comparable: runs differ in {check}"
        for check in found.checks
        if check.is_brand
    ]
    ended = [run for c in analysis.configurations for run in c.ended]
    improving = sum(c.num_improving for c in analysis.configurations)
    if improving:
        lines.append(
            f"Still improving at the end: {improving} of "
            f"{progression.count_runs(len(ended))}; more {analysis.budget_unit} may "
            "change the order"
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
        lines.append(
            f"Not all runs are there: {len(ended)} of {len(ended) + missing} have ended"
        )
    lines += _declaration_banners(found.study)
    return lines + _undeclared_banners(parts.compared, parts.undeclared, parts.declared)


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
        lines.append(f"Declared after {count_begun(study)} had begun")
    late = [change for change in study["changes"] if change["runs_begun_before"]]
    if late:
        lines.append(
            f"Declared otherwise after {count_begun(late[-1])} had begun: see What was "
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
        lines.append(
            f"Left out: {progression.count_runs(len(undeclared))} of configurations or "
            "seeds that are not, or no longer, declared, listed below"
        )
    if declared.get("search", {}).get("compared_on") == "the same seeds":
        lines.append(
            "Rates were chosen by the very runs that are compared: their accuracies "
            "are flattered and p values too small; --tune compares fresh runs"
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


def count_begun(entry: dict[str, Any]) -> str:
    """Return how many runs had begun when something was declared, in words."""
    count = entry["runs_begun_before"]
    return f"{count} of its runs" if count > 1 else "one of its runs"
