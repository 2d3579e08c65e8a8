"""The runs of a study and what they say, worked out once for every page and figure."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfpipe.comparison import analysis as study_analysis
from tfpipe.comparison import certificate, chosen, declaration
from tfpipe.comparison.analysis import Analysis
from tfpipe.comparison.certificate import Check
from tfpipe.comparison.chosen import Parts
from tfpipe.comparison.configurations import Configuration, describe_runs, group_runs
from tfpipe.comparison.results import RunResult


@dataclasses.dataclass(frozen=True)
class Findings:
    """What is known of a study.

    Attributes:
        study: what `declaration.read_declaration` returned.
        parts: the runs by what they are for.
        analysis: of those that are compared.
        tuned: configurations of those that only chose rates.
        checks: what the compared ones have in common.
    """

    study: dict[str, Any] | None
    parts: Parts
    analysis: Analysis
    tuned: tuple[Configuration, ...]
    checks: list[Check]

    @property
    def groups(self) -> dict[str, Sequence[RunResult]]:
        """The runs that are compared, by the label of their configuration."""
        return {c.label: c.runs for c in self.analysis.configurations}

    @property
    def runs(self) -> list[RunResult]:
        """Every run, configuration by configuration, those that aren't compared last.

        Their labels begin with "not declared: " and, where they only chose rates, with
        "tuning: ".
        """
        compared = [run for c in self.analysis.configurations for run in c.runs]
        others = [
            dataclasses.replace(run, label=f"{kind}: {run.label}")
            for kind, runs in (
                ("not declared", self.parts.undeclared),
                ("tuning", self.parts.tuning),
            )
            for run in runs
        ]
        return [*compared, *others]


def gather(results: Sequence[RunResult], study: dict[str, Any] | None) -> Findings:
    """Return what runs say.

    Args:
        results: all of a study.
        study: what `declaration.read_declaration` returned; None where nothing was
            declared.
    """
    parts = chosen.resolve(declaration.last_declared(study), results)
    return Findings(
        study=study,
        parts=parts,
        analysis=study_analysis.analyse(parts.compared, parts.declared),
        tuned=tuple(
            describe_runs(label, runs)
            for label, runs in group_runs(parts.tuning).items()
        ),
        checks=certificate.certify(parts.compared, parts.declared, parts.tuning),
    )
