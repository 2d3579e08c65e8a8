"""python -m tfpipe.report runs

Draw the report of a folder of runs, whatever trained them: the same files from the same
runs, byte for byte, in seconds. Nothing is trained, and TensorFlow isn't loaded.

Into --out go report.html (one page with interactive curves, to open in any browser),
report.md, table.tex (the main tables for LaTeX), results.csv (every number, one a row),
the figures as PNG and PDF, and label_suspects.txt: keys of pictures whose label is
likely wrong, for make_records --exclude.

Without --out, medians for TensorBoard go to aggregate/ beside the runs, too. A run
folder that is damaged is named and left out.
"""

import dataclasses
from pathlib import Path

from tfpipe import cli
from tfpipe.base.settings import check_settings, setting
from tfpipe.comparison import rendering, reporting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Which runs are reported, and where to."""

    runs_dir: str = setting("runs", "Folder of run folders.", front=True)
    out: str = setting(
        "", "Folder of the report; empty: report in the folder of runs.", front=True
    )
    records_dir: str = setting(
        "",
        "Folder of the records that pictures are taken from; empty: the runs' own.",
        front=True,
    )
    pictures: int = setting(
        rendering.NUM_PICTURES,
        "Pictures of each kind to show: those that configurations disagree on, those "
        "whose label is suspect; 0: none.",
        minimum=0,
        front=True,
    )

    def __post_init__(self) -> None:
        """Refuse wrong values."""
        check_settings(self)


def work(config: ReportConfig) -> int:
    """Read the runs, write the report, print the table."""
    reporting.report_folder(
        Path(config.runs_dir),
        out=config.out,
        records_dir=config.records_dir,
        num_pictures=config.pictures,
    )
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, ReportConfig, work, positional=("runs_dir",))
