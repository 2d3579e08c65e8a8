"""What `make_records` is told."""

import dataclasses
import re
import shlex
from typing import Any

from tfpipe.base.settings import check_settings, flatten, setting
from tfpipe.data import manifest as manifests
from tfpipe.data.storing import Storing

DEFAULT_RECORDS_DIR = "records"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What `make_records` is told."""

    image_dir: str = setting(
        "data",
        "Labelled pictures: a folder, .zip, .tar, .tar.gz, or a .csv or .tsv list with "
        "the columns path and label; Kaggle's zip as it is.",
        front=True,
    )
    records_dir: str = setting(
        DEFAULT_RECORDS_DIR, "Folder to write the records into.", front=True
    )
    validation_split: float = setting(
        0.25,
        "Fraction of the written pictures for validation, where the input itself names "
        "no validation pictures.",
        minimum=0,
        maximum=0.99,
        front=True,
    )
    class_names: tuple[str, ...] = setting(
        (),
        "Class names in label order, a,b,...; empty: a list's labels or the folders' "
        "names, sorted, else the words dog and cat in the file names. Cats and dogs "
        "are always dog=0, cat=1, as in the experiment.",
        front=True,
    )
    num_workers: int = setting(
        0,
        "Worker processes; 0: the usable cores.",
        minimum=0,
        front=True,
        identity=False,
    )
    max_rejects: str = setting(
        "",
        "Fail before publishing above this many rejects: a count (20) or a fraction "
        "(0.01); empty: no limit.",
        front=True,
        identity=False,
    )
    overwrite: bool = setting(
        False,
        "Replace finished records, or unfinished work, of other settings.",
        front=True,
        identity=False,
    )
    storing: Storing = dataclasses.field(default_factory=Storing)
    test_split: float = setting(
        0.0,
        "Fraction of the written pictures for a test split.",
        minimum=0,
        maximum=0.99,
    )
    group_regex: str = setting(
        "",
        "Pictures in whose keys this finds the same text (its first group, if it has "
        "one) show one thing and stay in one split.",
    )
    split_like: str = setting(
        "",
        "Earlier records: pictures whose keys these hold keep their split; the others "
        "fill up the fractions.",
    )
    exclude: str = setting(
        "", "File of keys to leave out, one a line, or lines as rejects.jsonl has them."
    )
    zip_encoding: str = setting(
        "", "Encoding of names in an archive that doesn't say it: gbk, cp437, ..."
    )
    num_shards: int = setting(
        0, "Shards of all splits together; 0: 16 for 25,000.", minimum=0
    )
    dataset_name: str = setting(
        "", "Name that TFDS and the shards bear; empty: from the class names."
    )
    max_pixels: int = setting(
        100_000_000, "Reject pictures of more pixels, height x width.", minimum=1
    )
    min_side: int = setting(
        8, "Reject pictures with a side of fewer pixels.", minimum=1
    )
    pictures: int = setting(
        12,
        "Pictures of each class that report.html shows, when records are written; 0: "
        "none at all.",
        minimum=0,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        self.reject_limit(1)
        if self.validation_split + self.test_split >= 1:
            raise ValueError(
                "validation_split and test_split must leave pictures for train, got "
                f"{self.validation_split} and {self.test_split}; make them smaller"
            )
        if self.dataset_name and not re.fullmatch(
            r"[a-zA-Z][a-zA-Z0-9_]{0,99}", self.dataset_name
        ):
            raise ValueError(
                "dataset_name must be up to 100 letters, digits and underscores, a "
                "letter first, "
                f"got {self.dataset_name!r}; give another --dataset_name"
            )
        try:
            re.compile(self.group_regex)
        except re.error as error:
            raise ValueError(
                f"group_regex must be a regular expression, got {self.group_regex!r} "
                f"({error}); mend it"
            ) from None
        if self.zip_encoding:
            try:
                "".encode(self.zip_encoding)
                b"".decode(self.zip_encoding)
            except (LookupError, UnicodeError):
                raise ValueError(
                    "zip_encoding must be a text encoding that Python knows, got "
                    f"{self.zip_encoding!r}; try gbk, shift_jis, cp437 or utf-8"
                ) from None

    def reject_limit(self, num_found: int) -> float:
        """Return how many rejects are borne among `num_found` pictures.

        Raises:
            ValueError: if `max_rejects` is neither a count nor a fraction.
        """
        if not self.max_rejects:
            return float("inf")
        if re.fullmatch(r"\d+", self.max_rejects):
            return int(self.max_rejects)
        if re.fullmatch(r"0?\.\d+", self.max_rejects):
            return float(self.max_rejects) * num_found
        raise ValueError(
            "max_rejects must be a count such as 20 or a fraction such as 0.01, got "
            f"{self.max_rejects!r}; leave it out for no limit"
        )

    def deciding(self) -> dict[str, Any]:
        """Return the settings that decide the records' bytes by themselves."""
        names = ("validation_split", "test_split", "num_shards", "max_pixels")
        values = {name: getattr(self, name) for name in (*names, "min_side")}
        return values | {"group_regex": self.group_regex} | self.storing.facts

    def command(self) -> str:
        """Return the command line that gives this config."""
        default = flatten(ConvertConfig())
        words = [manifests.COMMAND]
        for name, value in flatten(self).items():
            if value != default[name]:
                text = ",".join(value) if isinstance(value, list) else str(value)
                words.append(
                    f"--{name}" if value is True else f"--{name}={shlex.quote(text)}"
                )
        return " ".join(words)
