import pytest

from tfpipe.base import files
from tfpipe.data.records import iterate_records


def records_of(manifest):
    """Return (split, record) by key."""
    return {
        record.file_name: (shard.split, record)
        for shard in manifest.shards
        for record in iterate_records(
            manifest.records_dir / shard.file_name,
            manifest.records_dir / "index" / f"{shard.file_name}.idx",
        )
    }


def splits_of(manifest):
    return {key: split for key, (split, _) in records_of(manifest).items()}


def test_named_groups_stay_in_one_split(lay, encode, make_records, capsys):
    pictures = {
        f"{word}.{animal}_{view}.jpg": encode(animal * 9 + view + 100 * (word == "cat"))
        for word in ("dog", "cat")
        for animal in range(6)
        for view in range(3)
    }
    manifest = make_records(lay(pictures), group_regex=r"(\w+\.\d+)_")
    records = records_of(manifest)
    by_group = {}
    for split, record in records.values():
        assert record.file_name.startswith(record.group + "_")
        by_group.setdefault(record.group, set()).add(split)
    assert len(by_group) == 12
    assert all(len(splits) == 1 for splits in by_group.values())
    assert manifest.split_sizes == {"train": 27, "validation": 9}
    assert manifest.counts["named_groups"] == 12
    assert "none is parted by a split" in capsys.readouterr().out


def test_groups_give_way_only_when_they_must(lay, encode, make_records, capsys):
    pictures = {
        f"{('dog', 'cat')[i % 2]}.{i // 4}_{i}.jpg": encode(i) for i in range(24)
    }
    make_records(lay(pictures), group_regex=r"\.(\d+)_", validation_split=0.25)
    assert (
        "whole groups and kept splits give other totals: "
        "train 20 instead of 18, validation 4 instead of 6" in capsys.readouterr().out
    )


def test_a_regex_that_finds_nothing_or_is_none(flat, lay, make_records):
    with pytest.raises(ValueError, match="group_regex must match a part of some keys"):
        make_records(lay(flat), group_regex="patient")
    with pytest.raises(ValueError, match=r"group_regex must be a regular expression"):
        make_records(lay(flat), group_regex="(")


def test_the_group_column_of_a_list(flat, lay, encode, make_records):
    rows = "".join(
        f"{name},{name[:3]},{'g' if i % 5 == 0 else ''}\n"
        for i, name in enumerate(sorted(flat))
    )
    folder = lay({**flat, "labels.csv": f"path,label,group\n{rows}".encode()})
    records = records_of(make_records(folder))
    assert {split for split, record in records.values() if record.group} == {"train"}
    assert sum(1 for _, record in records.values() if record.group == "g") == 4
    with pytest.raises(ValueError, match="where the list has a group column"):
        make_records(folder, "other", group_regex="dog")


def test_the_splits_of_folders_are_kept(flat, lay, make_records, capsys):
    names = sorted(flat)
    tops = {name: ("train", "val", "test")[i % 3] for i, name in enumerate(names)}
    folder = lay({f"{tops[name]}/{name}": flat[name] for name in names})
    manifest = make_records(folder)
    assert splits_of(manifest) == {
        f"{top}/{name}": {"val": "validation"}.get(top, top)
        for name, top in tops.items()
    }
    out = capsys.readouterr().out
    assert "taking train/, val/, test/ as the splits that they are" in out
    with pytest.raises(ValueError, match="test_split must be 0 where the input gives"):
        make_records(folder, "other", test_split=0.1)


def test_a_picture_given_to_two_splits_is_trains(flat, lay, make_records, capsys):
    pictures = {f"train/{name}": data for name, data in flat.items()}
    pictures["val/cat.99.jpg"] = flat["cat.0.jpg"]
    pictures["val/dog.98.jpg"] = flat["dog.0.jpg"][:-2] + b"\xff\xfe\x00\x03x\xff\xd9"
    manifest = make_records(lay(pictures))
    splits = splits_of(manifest)
    assert splits["val/cat.99.jpg"] == "train"
    assert splits["val/dog.98.jpg"] == "validation"
    assert "1 pictures left the split given to them" in capsys.readouterr().out
    assert manifest.counts["moved"] == ["val/cat.99.jpg"]
    assert "val/cat.99.jpg" in (manifest.records_dir / "report.html").read_text()


def test_earlier_splits_are_kept_and_filled_up(flat, lay, encode, make_records, capsys):
    folder = lay(flat)
    old = make_records(folder, "old")
    for i in range(20):
        (folder / f"cat.new{i}.jpg").write_bytes(encode(500 + i))
    new = make_records(folder, "new", split_like=str(old.records_dir))
    assert new.split_sizes == {"train": 30, "validation": 10}
    kept = splits_of(new)
    assert {key: kept[key] for key in flat} == splits_of(old)
    assert "20 pictures keep their split" in capsys.readouterr().out
    assert new.settings["split_like"] == old.fingerprint


def test_records_of_other_pictures_give_no_splits(flat, lay, make_records):
    old = make_records(lay(flat), "old")
    other = lay({f"x.{name}": data for name, data in flat.items()}, "other")
    with pytest.raises(ValueError, match="split_like must be records with some"):
        make_records(other, "new", split_like=str(old.records_dir))
    with pytest.raises(ValueError, match="records_dir must hold finished records"):
        make_records(other, "new", split_like=str(other / "none"))


def test_excluded_keys_are_left_out_and_on_record(flat, lay, make_records, capsys):
    folder = lay(flat)
    listed = folder.parent / "exclude.txt"
    listed.write_text("cat.0.jpg\n\ndog.3.jpg\nno such.jpg\n")
    manifest = make_records(folder, exclude=str(listed), max_rejects="0")
    assert not {"cat.0.jpg", "dog.3.jpg"} & set(records_of(manifest))
    lines = files.read_json_lines(manifest.records_dir / "rejects.jsonl")
    assert [(line["key"], line["reason"]) for line in lines] == [
        ("cat.0.jpg", "excluded"),
        ("dog.3.jpg", "excluded"),
    ]
    counts = manifest.counts
    assert (counts["found"], counts["written"], counts["rejected"]) == (20, 18, 2)
    out = capsys.readouterr().out
    assert "left out 2 pictures" in out
    assert "1 of its keys are no picture here: no such.jpg" in out
    listed.write_text("cat.0.jpg\n")
    with pytest.raises(ValueError, match="got excluded_sha256"):
        make_records(folder, exclude=str(listed))
    with pytest.raises(ValueError, match="exclude must be a UTF-8 file of keys"):
        make_records(folder, "other", exclude=str(folder / "none.txt"))


def test_groups_of_one_class_leave_it_in_validation(lay, encode, make_records, capsys):
    pictures = {f"dog.{i // 2}_{i}.jpg": encode(i) for i in range(40)}
    pictures |= {f"cat.x{i}.jpg": encode(100 + i) for i in range(40)}
    manifest = make_records(lay(pictures), group_regex=r"dog\.(\d+)_")
    assert manifest.counts["by_split"]["validation"] == {"dog": 10, "cat": 10}
    assert "WARNING" not in capsys.readouterr().out


def test_a_split_without_a_class_is_said(lay, encode, make_records, capsys):
    pictures = {f"dog.{i}.jpg": encode(i) for i in range(12)} | {"cat.jpg": encode(99)}
    make_records(lay(pictures))
    assert "WARNING: train has no picture of cat" in capsys.readouterr().out


def test_a_group_among_rejects_alone_is_no_feature(lay, encode, make_records):
    pictures = {f"{i}.jpg": encode(i) for i in range(8)} | {"8.jpg": b""}
    rows = [f"{i}.jpg,{'ab'[i % 2]},{'g' if i == 8 else ''}" for i in range(9)]
    table = "path,label,group\n" + "\n".join(rows)
    manifest = make_records(lay({**pictures, "l.csv": table.encode()}))
    assert "image/group" not in (manifest.records_dir / "features.json").read_text()


def test_earlier_records_are_not_those_to_be_written(flat, lay, make_records):
    folder = lay(flat)
    old = make_records(folder)
    with pytest.raises(ValueError, match="split_like must be other records than"):
        make_records(folder, split_like=str(old.records_dir), overwrite=True)


def test_excluding_a_whole_class_is_refused_at_once(flat, lay, make_records):
    folder = lay(flat)
    listed = folder.parent / "exclude.txt"
    listed.write_text("".join(f"cat.{i}.jpg\n" for i in range(8)))
    with pytest.raises(
        ValueError, match="every class must have a picture, got none of"
    ):
        make_records(folder, exclude=str(listed))


def test_the_lines_of_rejects_can_be_excluded(flat, lay, make_records):
    folder = lay(flat)
    listed = folder.parent / "rejects.jsonl"
    listed.write_text('{"key": "cat.0.jpg", "reason": "empty", "detail": ""}\n')
    assert make_records(folder, exclude=str(listed)).counts["written"] == 19
