"""python tools/make_records.py --image_dir=data --records_dir=records

Turn labelled pictures into records: every picture decoded once to prove it, split
exactly, written by all cores as TFRecord shards that TFDS and others read too.

The input is a folder or an archive of pictures named cat.0.jpg and dog.0.jpg, or one
folder per class, or train/, validation/ and test/ over these, or a CSV or TSV list, or
Kaggle's dogs-vs-cats.zip as it was downloaded. It is only read. Clean JPEGs pass
through byte for byte, unless --image_size asks for squares. Equal inputs and settings
give byte-identical shards. After an interruption the same command goes on where it
stopped; afterwards it checks the shards and writes damaged ones again.
"""

from tfpipe import cli
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.convert import convert


def main() -> None:
    """Run the binary."""
    cli.run_binary(__doc__, ConvertConfig, work)


def work(config: ConvertConfig) -> int:
    """Convert; 0 also where it was done already."""
    convert(config)
    return cli.EXIT_OK


if __name__ == "__main__":
    main()
