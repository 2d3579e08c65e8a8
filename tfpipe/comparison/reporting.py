"""Report on a folder of runs: written beside them, and said in the terminal."""

from collections.abc import Sequence
from pathlib import Path

from tfpipe.comparison import (
    aggregate,
    declaration,
    findings,
    page,
    rendering,
    results,
)
from tfpipe.training.config import RunConfig


def report_folder(
    runs_dir: Path,
    *,
    out: str = "",
    records_dir: str = "",
    num_pictures: int,
    planned: Sequence[RunConfig] = (),
) -> None:
    """Write the report of all runs in a folder, and TensorBoard's medians; print both.

    Args:
        runs_dir: the folder.
        out: where the report goes; "": beside the runs, with the medians.
        records_dir: where pictures are taken from; "": the runs' own.
        num_pictures: at most so many of each kind are shown; 0: none.
        planned: runs that are listed even where they never began.

    Raises:
        ValueError: where there is no run, or a file of ours isn't as it was written.
    """
    study = declaration.read_declaration(runs_dir)
    damaged: list[str] = []
    declared = declaration.last_declared(study)
    runs = results.read_folder(runs_dir, declared, damaged.append, planned)
    found = findings.gather(runs, study)
    report = rendering.write_report(
        found,
        Path(out) if out else runs_dir / rendering.REPORT_DIR,
        records_dir=records_dir,
        num_pictures=num_pictures,
        damaged=damaged,
    )
    paths = report.paths
    if not out and aggregate.write_aggregates(found.groups, runs_dir):
        paths = [*paths, runs_dir / aggregate.FOLDER]
    page.print_page(found.runs)
    print()
    page.print_answer(report.document)
    if report.why_no_pictures:
        print(f"\n{report.why_no_pictures}")
    print("\nwritten:", *rendering.list_paths(paths), sep="\n  ")
