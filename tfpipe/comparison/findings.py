"""The runs of a study and what they say, worked out once for every page and figure."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfpipe.comparison import analysis as study_analysis
from tfpipe.comparison import certificate, chosen, declaration
from tfpipe.comparison.analysis import Analysis
from tfpipe.comparison.certificate import Check
from tfpipe.comparison.chosen import Stages
from tfpipe.comparison.results import RunResult


@dataclasses.dataclass(frozen=True)
class Findings:
    """What is known of a study.

    Attributes:
        study: what `declaration.read_declaration` returned.
        stages: the runs by what they are for.
        analysis: of those that are compared.
        checks: what these have in common.
    """

    study: dict[str, Any] | None
    stages: Stages
    analysis: Analysis
    checks: list[Check]

    @property
    def groups(self) -> dict[str, Sequence[RunResult]]:
        """The runs that are compared, by the label of their configuration."""
        return {c.label: c.runs for c in self.analysis.configurations}

    @property
    def runs(self) -> list[RunResult]:
        """Every run, configuration by configuration, those that only chose rates last.

        Their labels begin with "tuning: ".
        """
        compared = [run for c in self.analysis.configurations for run in c.runs]
        tuning = [
            dataclasses.replace(run, label=f"tuning: {run.label}")
            for run in self.stages.tuning
        ]
        return [*compared, *self.stages.undeclared, *tuning]


def gather(results: Sequence[RunResult], study: dict[str, Any] | None) -> Findings:
    """Return what runs say.

    Args:
        results: all of a study.
        study: what `declaration.read_declaration` returned; None where nothing was
            declared.
    """
    stages = chosen.resolve(declaration.last_declared(study), results)
    return Findings(
        study=study,
        stages=stages,
        analysis=study_analysis.analyse(stages.compared, stages.declared),
        checks=certificate.certify(stages.compared, stages.declared),
    )
