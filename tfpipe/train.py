"""python -m tfpipe.train --optimizer=rmsprop

Trains one model on a folder of records, into a run folder below runs/. Without other
flags it is the first run of the experiment: VGG16 from scratch, 224 x 224 pixels,
batches of 32, 5 epochs, learning rate 1e-4, decay 1e-6.

Ctrl-C saves; the same command continues; with a larger --epochs it goes further; and
where nothing is left to do it says so. Records come from tools/make_records.py.
"""

from tfpipe import cli
from tfpipe.base.quiet import hidden_stderr
from tfpipe.data.manifest import read_manifest
from tfpipe.training import run_folder
from tfpipe.training.config import RunConfig
from tfpipe.training.record_checks import check_records


def work(config: RunConfig) -> int:
    """Train `config` unless that is done."""
    record = run_folder.find_run(config)
    if record and record.is_finished(config.run.epochs):
        print(run_folder.describe_finished(record))
    else:
        # Wrong records are said at once, before TensorFlow takes seconds to load.
        check_records(config, read_manifest(config.data.records_dir))
        with hidden_stderr():
            from tfpipe.training import devices
            from tfpipe.training.run import train

            devices.describe()
        record = train(config)
    diverged = record.status["status"] == "diverged"
    return cli.EXIT_DIVERGED if diverged else cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, RunConfig, work)
