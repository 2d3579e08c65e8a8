"""An opened records folder: its splits, and its bytes by position."""

from pathlib import Path

from tfpipe.data.manifest import Manifest, read_manifest
from tfpipe.data.order import Ids
from tfpipe.data.storing import Storing
from tfpipe.data.streaming.resplit import other_splits, stored_splits
from tfpipe.data.streaming.store import RecordStore


class Source:
    """An opened records folder: its manifest, splits, and bytes by position.

    Args:
        records_dir: a finished records folder.
        fetch: as for `input_fn`.
        validation_split, split_seed: as for `input_fn`.
    """

    def __init__(
        self,
        records_dir: str | Path,
        *,
        fetch: str = "auto",
        validation_split: float = 0.0,
        split_seed: int = 0,
    ) -> None:
        self.manifest: Manifest = read_manifest(records_dir)
        self.storing = Storing.from_facts(self.manifest.settings)
        self.store = RecordStore(self.manifest, fetch=fetch)
        if validation_split or split_seed:
            self.splits = other_splits(self.store, validation_split, split_seed)
        else:
            self.splits = stored_splits(self.manifest)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.manifest.class_names)

    def split_ids(self, split: str, num_examples: int = 0) -> Ids:
        """Return the source ids of a split, int64.

        A prefix of `num_examples` of them keeps the class shares, because their order
        interleaves the classes: each within one picture, but for groups, which stand
        at the head whole.

        Raises:
            ValueError: for an unknown split or more examples than it has.
        """
        if split not in self.splits:
            raise ValueError(
                f"split must be one of {', '.join(self.splits)}, got {split!r}; "
                "splits are made by make_records"
            )
        ids = self.splits[split].ids
        if num_examples > len(ids):
            raise ValueError(
                f"train_examples must be at most {len(ids):,}, which the "
                f"{split} split holds, got {num_examples:,}"
            )
        return ids[: num_examples or len(ids)]
