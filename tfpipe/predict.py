"""python -m tfpipe.predict runs/RUN/best.keras PICTURES...

Answers pictures (files, or folders of them) with a model that training saved: a line
for each with its path, the most probable class and its probability. Pictures are
decoded and resized as they were for training. --out writes every class's probability
to a .csv or .json file. Exit code 2 if a picture can't be read, after all others are
answered.
"""

import sys

from tfpipe import cli
from tfpipe.base.quiet import hidden_stderr
from tfpipe.training.prediction_config import PredictConfig, find_pictures, read_export


def work(config: PredictConfig) -> int:
    """Answer the pictures."""
    export = read_export(config)
    if not export.class_names:
        print(
            f"no export.json beside {config.model}: classes are numbers, and pictures "
            "are taken in their own size and resized by area",
            file=sys.stderr,
        )
    pictures = find_pictures(config.pictures)
    with hidden_stderr():
        from tfpipe.training.predicting import predict
    unread = predict(config, export, pictures)
    for line in unread:
        print(f"error: {line}", file=sys.stderr)
    return cli.EXIT_WRONG_INPUT if unread else cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, PredictConfig, work, positional=("model", "pictures"))
