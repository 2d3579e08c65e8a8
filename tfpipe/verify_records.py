"""python tools/verify_records.py --records_dir=records

Prove that records are what make_records wrote, or name what isn't: the shard, the
record's number and offset, the key of its source, a line each.

Looked at are the bytes of every file (sizes, sha256, the checksums of each record, the
index), what every record says (id, label, class, size), the counts and the dataset
fingerprint, that no key, content or group is in two splits, and that TensorFlow decodes
every picture. --nodecode leaves that last part out and answers in a fraction of the
time. Nothing is written. The exit code is 0 for sound records and 2 for others.
"""

import os

from tfpipe import cli
from tfpipe.data.checks.verify import VerifyConfig, verify


def main() -> None:
    """Run the binary."""
    cli.run_binary(__doc__, VerifyConfig, work)


def work(config: VerifyConfig) -> int:
    """Verify; faults are an error."""
    # The CPU decodes: a GPU stays free for who trains meanwhile.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    print(verify(config))
    return cli.EXIT_OK


if __name__ == "__main__":
    main()
