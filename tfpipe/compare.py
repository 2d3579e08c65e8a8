"""python -m tfpipe.compare

Train several configurations under the same conditions and put them side by side.

Alone it is the experiment: rmsprop 1e-4, adam 1e-4, sgd 1e-4 and adam 1e-3. A grid is
--optimizers=rmsprop,adam --learning_rates=1e-5,1e-4, single runs are
--run="adam,learning_rate=1e-3", --study=FILE has any settings in all combinations,
and every other flag is a setting that all runs share. All runs of a seed start from the
same weights and see the same order.

--learning_rates=auto looks for each optimizer's own rate, with the same number of
trials for each: five rates half a decade apart, and two more beyond the lowest or
highest while that is the best. --tune trains every rate once and then each optimizer's
best with --replicates fresh seeds; only these are compared.

Each run is trained in a process of its own into its folder below --runs_dir: one after
another, or one on each GPU, or --workers at a time. What is done is skipped, so the
same command continues a comparison that was stopped, and only draws one that is done: a
table in the terminal; report.html, report.md, results.csv and the curves in report/
beside the runs, as python -m tfpipe.report does; and for TensorBoard the median of each
configuration's replicates in aggregate/.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from tfpipe import cli
from tfpipe.base import settings
from tfpipe.comparison import (
    declaration,
    execution,
    planning,
    reporting,
    study,
    trial,
)
from tfpipe.comparison.planning import Design, Plan
from tfpipe.comparison.study import CompareConfig
from tfpipe.training import promise
from tfpipe.training.config import RunConfig


def work(config: CompareConfig) -> int:
    """Train what is left to train, draw everything, return the exit code."""
    design = planning.design_study(config)
    plan = planning.plan_study(design)
    study.check_records([run for run in plan.runs if not study.find_finished(run)])
    declared = declaration.declare(
        design.candidates,
        study.dataset_fingerprint(plan.runs),
        config.study.baseline_run,
        design,
    )
    power = declaration.describe_power(declared)
    runs_dir, reason = Path(config.run.runs_dir), config.study.reason
    change = declaration.describe_change(runs_dir, declared, reason)
    if config.study.dry_run:
        workers = config.study.workers
        paces = trial.measure_paces(plan.runs, workers, print)
        print(execution.describe_plan(plan.runs, train_command, workers, paces))
        rest = [] if plan.is_whole else [planning.describe_rest(design, plan)]
        _print_lines([*plan.lines, *rest, *filter(None, [power, change])])
        return cli.EXIT_OK
    _print_lines(filter(None, [power, change]))
    declaration.write_declaration(runs_dir, declared, reason)
    try:
        plan, codes = _train(design, plan, config.study.workers)
    except KeyboardInterrupt:
        print("stopped; the same command continues", flush=True)
        if config.run.overwrite:
            print(
                "but with --overwrite it starts all runs again; without, it continues "
                "this one and keeps the old ones that were still to come",
                flush=True,
            )
        raise
    if all(code == cli.EXIT_WRONG_INPUT for code in codes):
        return cli.EXIT_WRONG_INPUT
    print()
    reporting.report_folder(
        runs_dir,
        records_dir=config.data.records_dir,
        num_pictures=config.study.pictures,
        planned=[*plan.compared, *plan.tuning],
    )
    command = promise.tensorboard_command(config.run.runs_dir)
    print(f"curves side by side: {command}")
    return cli.EXIT_DIVERGED if any(codes) else cli.EXIT_OK


def _train(design: Design, plan: Plan, workers: str) -> tuple[Plan, list[int]]:
    """Train a plan, then what follows from its results, until nothing does.

    Returns:
        The last plan, and the exit code of each trainer.
    """
    trained: list[RunConfig] = []
    codes: list[int] = []
    new, told = plan.runs, 0
    while new:
        _print_lines(plan.lines[told:])
        ended = execution.train_runs(new, train_command, workers)
        codes += ended
        trained += [
            run
            for run, code in zip(new, ended, strict=True)
            if code in (cli.EXIT_OK, cli.EXIT_DIVERGED)
        ]
        before, plan = plan, planning.plan_study(design, trained)
        new, told = plan.runs[len(before.runs) :], len(before.lines)
    _print_lines(plan.lines[told:])
    if not plan.is_whole:
        print(
            "rates can't be chosen while runs are left without a result; mend what "
            "stopped them, and give the same command again",
            flush=True,
        )
    return plan, codes


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


def train_command(run: RunConfig) -> list[str]:
    """Return the command line that trains one run."""
    return [sys.executable, "-m", "tfpipe.train", *settings.to_flags(run)]


if __name__ == "__main__":
    cli.run_binary(__doc__, CompareConfig, work)
