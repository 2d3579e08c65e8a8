"""Run tfpipe.make_records from a checkout, installed or not."""

import sys
from pathlib import Path

if __name__ == "__main__":  # not where a worker process imports this file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

    from tfpipe.make_records import main

    main()
