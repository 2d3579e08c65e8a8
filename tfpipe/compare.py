"""python -m tfpipe.compare

Train several configurations under the same conditions and put them side by side.

Alone it is the experiment: rmsprop 1e-4, adam 1e-4, sgd 1e-4 and adam 1e-3. A grid is
--optimizers=rmsprop,adam --learning_rates=1e-5,1e-4, single runs are
--run="adam,learning_rate=1e-3", and every other flag is a setting that all runs share.
All runs of a seed start from the same weights and see the same order.

Each run is trained in a process of its own into its folder below --runs_dir: one after
another, or one on each GPU, or --workers at a time. What is done is skipped, so the
same command continues a comparison that was stopped, and only draws one that is done: a
table in the terminal; report.html, report.md, results.csv and the curves in report/
beside the runs, as python -m tfpipe.report does.
"""

import sys
from pathlib import Path

from tfpipe import cli
from tfpipe.base import settings
from tfpipe.comparison import (
    content,
    declaration,
    execution,
    page,
    rendering,
    results,
    study,
)
from tfpipe.comparison.study import CompareConfig
from tfpipe.training import promise
from tfpipe.training.config import RunConfig


def work(config: CompareConfig) -> int:
    """Train what is left to train, draw everything, return the exit code."""
    runs = study.plan_runs(config)
    study.check_records([run for run in runs if not study.find_finished(run)])
    declared = declaration.declare(
        runs, study.dataset_fingerprint(runs), config.study.baseline_run
    )
    power = declaration.describe_power(declared)
    if config.study.dry_run:
        print(execution.describe_plan(runs, train_command, config.study.workers))
        print(power)
        return cli.EXIT_OK
    if power:
        print(power, flush=True)
    runs_dir = Path(config.run.runs_dir)
    declaration.write_declaration(runs_dir, declared, runs, config.study.reason)
    try:
        codes = execution.train_runs(runs, train_command, config.study.workers)
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
    outcome = results.read_results(runs)
    asked = declaration.read_declaration(runs_dir)
    paths = rendering.write_report(
        content.build_document(outcome, asked),
        outcome,
        runs_dir / rendering.REPORT_DIR,
        study=asked,
        records_dir=config.data.records_dir,
    )
    print()
    page.print_page(outcome)
    print("\nwritten:", *paths, sep="\n  ")
    command = promise.tensorboard_command(config.run.runs_dir)
    print(f"curves side by side: {command}")
    return cli.EXIT_DIVERGED if any(codes) else cli.EXIT_OK


def train_command(run: RunConfig) -> list[str]:
    """Return the command line that trains one run."""
    return [sys.executable, "-m", "tfpipe.train", *settings.to_flags(run)]


if __name__ == "__main__":
    cli.run_binary(__doc__, CompareConfig, work)
