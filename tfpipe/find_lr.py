"""python -m tfpipe.find_lr --optimizer=adam

Test learning rates in a hundred steps, each at a larger rate, and say which are worth a
try: from where the loss falls to the largest that is stable. Where it never falls, a
plateau, only the largest stable rate is known, and that is said; so is noise that would
hide a fall.

Steps are taken from fresh weights, or with --from_run=runs/RUN from where that run
stands. Model and optimizer are thrown away; no run is changed. The picture and its
numbers go to find_lr/ below --runs_dir.
"""

import shlex

from tfpipe import cli
from tfpipe.base.quiet import hidden_stderr
from tfpipe.data.manifest import read_manifest
from tfpipe.training import range_config, rate_range
from tfpipe.training.range_config import FindConfig
from tfpipe.training.record_checks import check_records


def work(config: FindConfig) -> int:
    """Test rates, and print commands that go on from there."""
    run = range_config.run_of(config)
    check_records(run, read_manifest(run.data.records_dir))
    with hidden_stderr():
        from tfpipe.training import devices
        from tfpipe.training.range_test import find_rate

        devices.describe()
    found = find_rate(config)
    flags = range_config.compare_flags(run, rate_range.suggest_rates(found))
    print(f"compare: {shlex.join(['python', '-m', 'tfpipe.compare', *flags])}")
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, FindConfig, work)
