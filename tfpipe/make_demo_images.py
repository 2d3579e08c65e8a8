"""python tools/make_demo_images.py

Draws pictures of cats and dogs, so that everything can be tried without a download:
2,000 of 64 pixels take 5 to 10 seconds and 6 MB. The classes differ in shape and not in
colour: a model has to look at ears, muzzles and whiskers.

The files are cat.0.jpg, dog.0.jpg, ... and demo.json, which lists them. The same flags
draw the same bytes; where the set is there already, nothing is done.
"""

import shlex
import time
from typing import NoReturn

from tfpipe import cli
from tfpipe.base.progress import format_seconds
from tfpipe.data.demo.demo_set import DemoConfig, draw_set


def work(config: DemoConfig) -> int:
    """Draw the set unless it is there; say what there is and what comes next."""
    start = time.monotonic()
    drawn = draw_set(config)
    seconds = format_seconds(time.monotonic() - start)
    print(
        f"{drawn.image_dir}: {drawn.num_images:,} pictures, half cats, half dogs, "
        f"{drawn.num_bytes / 1e6:,.1f} MB, "
        + (f"drawn in {seconds}" if drawn.is_new else "already there; nothing to do")
    )
    records_dir = drawn.image_dir.parent / "records"
    words = [f"--image_dir={drawn.image_dir}", f"--records_dir={records_dir}"]
    print(f"next: python tools/make_records.py {shlex.join(words)}")
    return cli.EXIT_OK


def main() -> NoReturn:
    """Run the binary."""
    cli.run_binary(__doc__, DemoConfig, work)


if __name__ == "__main__":
    main()
