"""The facts of a records folder, in the layout that TensorFlow Datasets reads.

`dataset_info.json` is written last: without it a folder holds no dataset. All that is
ours beyond that layout stands in `metadata.json`.
"""

import dataclasses
import json
import reprlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipe.base import files
from tfpipe.data.metadata_shape import METADATA_SHAPE, check_shape
from tfpipe.data.records import FRAME_BYTES
from tfpipe.data.storing import Storing

FORMAT_VERSION = 1
DATASET_INFO = "dataset_info.json"
FEATURES = "features.json"
LABEL_NAMES = "image.class.label.labels.txt"
METADATA = "metadata.json"
REJECTS = "rejects.jsonl"
REPORT = "report.html"
PARTIAL_DIR, INDEX_DIR = ".partial", "index"
IDENTITY = "identity.json"  # in PARTIAL_DIR: what is being made, and by which command
COMMAND = "python tools/make_records.py"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One TFRecord file; `num_bytes` is the file's size."""

    file_name: str
    split: str
    num_examples: int
    num_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a records folder holds.

    Attributes:
        records_dir: the folder.
        dataset_name: TFDS's name, the beginning of every shard's.
        class_names: in label order.
        split_sizes: records of train, validation and, if any, test, in global order.
        shards: in global order.
        fingerprint: the dataset fingerprint, 64 hexadecimal digits.
        settings: what the conversion was told, and the digest of what it read.
        counts: found, written, rejected and normalised, by reason, split and class.
    """

    records_dir: Path
    dataset_name: str
    class_names: tuple[str, ...]
    split_sizes: dict[str, int]
    shards: tuple[Shard, ...]
    fingerprint: str
    settings: dict[str, Any]
    counts: dict[str, Any]


def shard_name(dataset_name: str, split: str, index: int, num_shards: int) -> str:
    """Return TFDS's file name of shard `index` of `num_shards` of a split."""
    return f"{dataset_name}-{split}.tfrecord-{index:05d}-of-{num_shards:05d}"


def index_path(records_dir: Path, file_name: str) -> Path:
    """Return where the index of a shard lies."""
    return records_dir / INDEX_DIR / f"{file_name}.idx"


def dataset_files(shard_names: Sequence[str]) -> list[str]:
    """Return the paths of a dataset's files below its folder, DATASET_INFO first."""
    fixed = [DATASET_INFO, FEATURES, LABEL_NAMES, REJECTS, REPORT]
    indexes = [f"{INDEX_DIR}/{name}.idx" for name in shard_names]
    return [*fixed, *shard_names, *indexes, METADATA]


def read_manifest(records_dir: Path | str) -> Manifest:
    """Read and check the facts of a records folder; shards are only looked at.

    Raises:
        ValueError: if the folder is absent, holds no finished dataset, is of a newer
            format version, or a shard is missing or of another size than recorded.
    """
    records_dir = Path(records_dir)
    if not (records_dir / DATASET_INFO).exists():
        raise ValueError(no_dataset(records_dir))
    manifest = to_manifest(records_dir, read_metadata(records_dir))
    for shard in manifest.shards:
        _check_shard(records_dir, shard)
    return manifest


def to_manifest(records_dir: Path, metadata: dict[str, Any]) -> Manifest:
    """Return what `read_metadata` found in a records folder as a value."""
    names = [field.name for field in dataclasses.fields(Shard)]
    return Manifest(
        records_dir=records_dir,
        dataset_name=metadata["dataset_name"],
        class_names=tuple(metadata["class_names"]),
        split_sizes=dict(metadata["split_sizes"]),
        shards=tuple(
            Shard(**{name: shard[name] for name in names})
            for shard in metadata["shards"]
        ),
        fingerprint=metadata["fingerprint"],
        settings=metadata["settings"],
        counts=metadata["counts"],
    )


def read_metadata(records_dir: Path) -> dict[str, Any]:
    """Return the contents of metadata.json once it is known to be ours.

    Raises:
        ValueError: if it is absent, damaged, newer, made of other things than
            numbers and texts where these belong, or names files outside the folder.
    """
    path = records_dir / METADATA
    try:
        metadata = json.loads(path.read_bytes())
        version = int(metadata["format_version"])
        names = [shard["file_name"] for shard in metadata["shards"]]
    # Recursion: arrays within arrays, a hundred thousand deep.
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        raise ValueError(
            f"{path} must be what make_records wrote, got none or another; "
            f"make the records again in another folder with {COMMAND}"
        ) from None
    if version > FORMAT_VERSION:
        raise ValueError(
            f"records format version must be at most {FORMAT_VERSION}, got {version} "
            f"in {records_dir}; update tfpipe, or make the records again elsewhere"
        )
    for name in names:
        if not isinstance(name, str) or "/" in name or name in ("", ".", ".."):
            raise ValueError(
                f"shard names must be plain file names, got {reprlib.repr(name)} in "
                f"{path}; this manifest was forged or damaged: don't use it"
            )
    check_shape(metadata, METADATA_SHAPE, str(path))
    return dict(metadata)


def _check_shard(records_dir: Path, shard: Shard) -> None:
    path = records_dir / shard.file_name
    size = path.stat().st_size if path.is_file() else None
    if size != shard.num_bytes:
        got = "no such file" if size is None else f"{size:,}"
        raise ValueError(
            f"{path} must be {shard.num_bytes:,} bytes long, got {got}; give the "
            f"same {COMMAND} command again: it rebuilds damaged shards"
        )


def no_dataset(records_dir: Path) -> str:
    """Return the error for a folder that holds no finished dataset."""
    identity = records_dir / PARTIAL_DIR / IDENTITY
    if identity.is_file():
        try:
            command = str(json.loads(identity.read_bytes())["command"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            command = ""
        if not command.startswith(COMMAND) or not command.isprintable():
            command = f"{COMMAND} ... --overwrite"  # it is damaged itself
        return (
            f"records_dir must hold finished records, got an unfinished conversion in "
            f"{records_dir}; continue it with: {command}"
        )
    if records_dir.exists() and (
        not records_dir.is_dir() or any(records_dir.iterdir())
    ):
        return (
            f"records_dir must hold finished records, got other files: {records_dir}; "
            "name the folder that make_records wrote"
        )
    got = "an empty folder" if records_dir.is_dir() else "no folder there"
    name = shlex.quote(str(records_dir))
    option = "" if str(records_dir) == "records" else f" --records_dir={name}"
    return (
        f"records_dir must hold finished records, got {got}: {records_dir}; make some "
        f"with: {COMMAND} --image_dir=YOUR_PICTURES{option}"
    )


def write_manifest(manifest: Manifest, *, versions: dict[str, str]) -> None:
    """Write every metadata file, dataset_info.json last.

    Args:
        manifest: the facts; its shards lie in its folder already.
        versions: of the libraries whose version can change stored bytes.
    """
    folder = manifest.records_dir
    described = tfds_files(manifest)
    files.write_bytes(folder / FEATURES, described[FEATURES])
    files.write_bytes(folder / LABEL_NAMES, described[LABEL_NAMES])
    facts = {
        "format_version": FORMAT_VERSION,
        "dataset_name": manifest.dataset_name,
        "class_names": list(manifest.class_names),
        # Pairs, because the order of the splits is that of the ids.
        "split_sizes": list(manifest.split_sizes.items()),
        "shards": [dataclasses.asdict(shard) for shard in manifest.shards],
        "fingerprint": manifest.fingerprint,
        "settings": manifest.settings,
        "counts": manifest.counts,
        "versions": versions,
    }
    files.write_json(folder / METADATA, facts)
    files.write_bytes(folder / DATASET_INFO, described[DATASET_INFO])


def tfds_files(manifest: Manifest) -> dict[str, bytes]:
    """Return the contents of the three files that TFDS reads, by name."""
    info = json.dumps(
        _dataset_info(manifest), indent=2, sort_keys=True, ensure_ascii=False
    )
    storing = Storing.from_facts(manifest.settings)
    return {
        FEATURES: _features_json(
            len(manifest.class_names),
            storing,
            has_groups=manifest.counts.get("in_groups", 0) > 0,
        ),
        LABEL_NAMES: "".join(f"{name}\n" for name in manifest.class_names).encode(),
        DATASET_INFO: info.encode() + b"\n",
    }


def _dataset_info(manifest: Manifest) -> dict[str, Any]:
    """Return TFDS's DatasetInfo message as JSON: an unknown key would be an error."""
    splits = []
    for split, size in manifest.split_sizes.items():
        shards = [shard for shard in manifest.shards if shard.split == split]
        # TFDS counts the serialized Examples without their framing.
        num_bytes = sum(s.num_bytes - FRAME_BYTES * s.num_examples for s in shards)
        if size:
            splits.append(
                {
                    "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                    "name": split,
                    "numBytes": str(num_bytes),
                    "shardLengths": [str(s.num_examples) for s in shards],
                }
            )
    keys = ("image/encoded", "image/class/label")
    return {
        "description": f"{sum(manifest.split_sizes.values()):,} labelled pictures: "
        + ", ".join(manifest.class_names),
        "fileFormat": "tfrecord",
        "name": manifest.dataset_name,
        "splits": splits,
        "supervisedKeys": {"tuple": {"items": [{"featureKey": key} for key in keys]}},
        "version": "1.0.0",
    }


def _features_json(num_classes: int, storing: Storing, has_groups: bool) -> bytes:
    """Return TFDS's description of a record's features."""
    core = "tensorflow_datasets.core.features"
    side = str(storing.image_size or -1)  # -1: of any size
    shape = {"dimensions": [side, side, "3"]}
    picture: dict[str, Any] = {
        "image": {"dtype": "uint8", "encodingFormat": "jpeg", "shape": shape},
        "pythonClassName": f"{core}.image_feature.Image",
    }
    if storing.encoding == "raw":
        picture = {
            "pythonClassName": f"{core}.tensor_feature.Tensor",
            "tensor": {"dtype": "uint8", "encoding": "bytes", "shape": shape},
        }
    text = {"pythonClassName": f"{core}.text_feature.Text", "text": {}}
    whole = {
        "pythonClassName": f"{core}.scalar.Scalar",
        "tensor": {"dtype": "int64", "encoding": "none", "shape": {}},
    }
    features = {
        "image/encoded": picture,
        "image/class/label": {
            "classLabel": {"numClasses": str(num_classes)},
            "pythonClassName": f"{core}.class_label_feature.ClassLabel",
        },
        "image/class/text": text,
        "image/filename": text,
        "image/format": text,
        "image/height": whole,
        "image/key/sha256": text,
        "image/source_id": whole,
        "image/width": whole,
    }
    if has_groups:
        features["image/group"] = text
    tree = {
        "featuresDict": {"features": features},
        "pythonClassName": f"{core}.features_dict.FeaturesDict",
    }
    return json.dumps(tree, indent=4, sort_keys=True).encode()
