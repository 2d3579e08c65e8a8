import io
import os
import tarfile
import tracemalloc
import zipfile

import pytest

from tfpipe.data.inputs.places import FilePlace
from tfpipe.data.inputs.sources import list_pictures


def read_all(listing):
    return {name: place.read() for name, place in listing.places.items()}


PICTURES = {"a/cat.0.jpg": b"one", "a/b/猫 1.JPG": b"two", "c/dog.png": b"three"}
LEFT_OUT = (
    "left out 2 hidden pictures: names or folders that begin with a dot, __MACOSX",
    "left out 1 file that is no picture",
)
OTHERS = {"c/notes.txt": b"", "a/.hidden.jpg": b"", "__MACOSX/a/cat.0.jpg": b""}


def test_a_folder(lay, tmp_path):
    listing = list_pictures(lay({**PICTURES, **OTHERS}), tmp_path / "spool")
    assert read_all(listing) == PICTURES
    assert listing.notes == LEFT_OUT


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_agrees_with_its_folder(pack, tmp_path, method):
    listing = list_pictures(
        pack({**PICTURES, **OTHERS}, method=method), tmp_path / "spool"
    )
    assert read_all(listing) == PICTURES
    assert listing.notes == LEFT_OUT
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("is_folder", [False, True])
def test_kaggles_outer_zip_and_its_folder(pack, lay, tmp_path, method, is_folder):
    inner = pack(PICTURES, "inner.zip").read_bytes()
    outer = {
        "sampleSubmission.csv": b"id,label",
        "test1.zip": pack({"1.jpg": b"x"}, "test.zip").read_bytes(),
        "train.zip": inner,
    }
    image_dir = lay(outer) if is_folder else pack(outer, method=method)
    listing = list_pictures(image_dir, tmp_path / "spool")
    assert read_all(listing) == PICTURES
    assert listing.notes == (
        f"reading train.zip in {image_dir}; left out sampleSubmission.csv, test1.zip",
    )
    is_spooled = method == zipfile.ZIP_DEFLATED and not is_folder
    assert (tmp_path / "spool").exists() == is_spooled


def test_a_folder_with_one_outer_zip(pack, lay, tmp_path):
    train = pack(PICTURES, "inner.zip").read_bytes()
    outer = pack({"train.zip": train, "test1.zip": b"x"}, "o.zip").read_bytes()
    listing = list_pictures(lay({"dogs-vs-cats.zip": outer}), tmp_path / "spool")
    assert read_all(listing) == PICTURES
    assert len(listing.notes) == 2


def test_links_are_followed_inside_the_input_only(lay, tmp_path):
    folder, other = lay(PICTURES), lay({"cat.9.jpg": b"nine"}, "other")
    os.symlink("a/cat.0.jpg", folder / "linked.jpg")
    os.symlink("a/b", folder / "again")
    os.symlink(other / "cat.9.jpg", folder / "cat.9.jpg")
    os.symlink(other, folder / "others")
    os.symlink("nowhere.jpg", folder / "broken.jpg")
    listing = list_pictures(folder, tmp_path / "spool")
    linked = {"linked.jpg": b"one", "again/猫 1.JPG": b"two"}
    assert read_all(listing) == {**PICTURES, **linked}
    assert {name: reason for name, (reason, _) in listing.refused.items()} == {
        "cat.9.jpg": "outside_link",
        "broken.jpg": "missing",
    }
    assert listing.notes == (
        "left out 1 links or members that lead outside the input or nowhere",
    )


def test_links_that_go_round_end(lay, tmp_path):
    folder = lay(PICTURES)
    os.symlink("..", folder / "a/b/up")
    os.symlink("../a", folder / "c/over")
    os.symlink("../../c", folder / "a/b/back")
    names = read_all(list_pictures(folder, tmp_path / "spool"))
    assert {name.count("/") for name in names} == {1, 2, 3}
    assert "a/b/back/dog.png" in names
    assert "c/over/cat.0.jpg" in names


@pytest.mark.parametrize("name", ["t.tar", "t.tar.gz", "t.tgz"])
def test_a_tar_agrees_with_its_folder(lay, tmp_path, name):
    folder = lay({**PICTURES, **OTHERS})
    os.link(folder / "a/cat.0.jpg", folder / "hard.jpg")
    os.symlink("a/cat.0.jpg", folder / "soft.jpg")
    os.symlink("../outside.jpg", folder / "out.jpg")
    mode = "w" if name.endswith(".tar") else "w:gz"
    with tarfile.open(tmp_path / name, mode) as archive:
        archive.add(folder, ".")
    listing = list_pictures(tmp_path / name, tmp_path / "spool")
    links = {"hard.jpg": b"one", "soft.jpg": b"one"}
    assert read_all(listing) == {**PICTURES, **links}
    assert listing.refused["out.jpg"][0] == "outside_link"
    assert (tmp_path / "spool").exists() == (mode == "w:gz")


def test_a_tar_in_a_zip_is_read_in_place(lay, pack, tmp_path):
    folder = lay(PICTURES)
    with tarfile.open(tmp_path / "train.tar", "w") as archive:
        archive.add(folder, "train")
    data = (tmp_path / "train.tar").read_bytes()
    listing = list_pictures(pack({"train.tar": data}), tmp_path / "spool")
    assert read_all(listing) == {f"train/{n}": d for n, d in PICTURES.items()}
    assert not (tmp_path / "spool").exists()


def test_members_that_name_places_outside_are_refused(pack, tmp_path):
    names = ("/etc/cat.1.jpg", "../cat.2.jpg", "a/../../cat.3.jpg", "C:/cat.4.jpg")
    entries = {**PICTURES, **dict.fromkeys(names, b"evil"), "../notes.txt": b""}
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    for path in (pack(entries), tmp_path / "t.tar"):
        listing = list_pictures(path, tmp_path / "spool")
        assert read_all(listing) == PICTURES
        assert {why for why, _ in listing.refused.values()} == {"unsafe_path"}
        assert set(listing.refused) == set(names)


def gbk_zip(path, names):
    """Write a zip as Chinese Windows did: names in GBK, not marked as UTF-8."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr("#" * len(name.encode("gbk")), name.encode())
    data = path.read_bytes()
    for name in names:
        data = data.replace(b"#" * len(name.encode("gbk")), name.encode("gbk"), 2)
    path.write_bytes(data)


def test_a_zip_with_gbk_names(tmp_path):
    path = tmp_path / "gbk.zip"
    gbk_zip(path, ["猫/第一只.jpg", "狗狗狗/1.jpg"])
    listing = list_pictures(path, tmp_path / "spool", "gbk")
    assert sorted(listing.places) == ["狗狗狗/1.jpg", "猫/第一只.jpg"]
    assert listing.notes == ()
    guessed = list_pictures(path, tmp_path / "spool")
    assert len(guessed.places) == 2
    assert "2 names in the zip don't say their encoding" in guessed.notes[0]
    with pytest.raises(ValueError, match=r"zip_encoding must be .* got utf-8"):
        list_pictures(path, tmp_path / "spool", "utf-8")


def test_folders_of_a_windows_zip_are_folders(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename, info.create_system = "a\\cat.0.jpg", 0
        archive.writestr(info, b"one")
    listing = list_pictures(tmp_path / "w.zip", tmp_path / "spool")
    assert read_all(listing) == {"a/cat.0.jpg": b"one"}


@pytest.mark.parametrize("name", ["t.tar", "t.tar.gz"])
def test_a_cut_off_tar_is_said(tmp_path, name):
    with tarfile.open(tmp_path / name, "w:gz" if "gz" in name else "w") as archive:
        for picture in ("cat.0.jpg", "dog.0.jpg"):
            info = tarfile.TarInfo(picture)
            info.size = 3000
            archive.addfile(info, io.BytesIO(os.urandom(3000)))
    data = (tmp_path / name).read_bytes()
    for cut in (30, 600, 2000):
        (tmp_path / name).write_bytes(data[:cut])
        with pytest.raises(
            ValueError, match=r"image_dir must be .*whole .*got .*t\.tar"
        ):
            list_pictures(tmp_path / name, tmp_path / "spool")
    if name == "t.tar":  # within the second header: tarfile itself says nothing
        (tmp_path / name).write_bytes(data[:3800])
        listing = list_pictures(tmp_path / name, tmp_path / "spool")
        assert "it may have been cut off" in listing.notes[0]


def test_a_list_of_pictures(lay, tmp_path):
    folder = lay({**PICTURES, "l.csv": b"path,label\na/cat.0.jpg,x\nno.jpg,y\n"})
    other = lay({"b.jpg": b"b"}, "other") / "b.jpg"
    with open(folder / "l.csv", "a") as file:
        file.write(f"{other},y\n{folder}/c/dog.png,y\n../other/b.jpg,y\n")
    listing = list_pictures(folder / "l.csv", tmp_path / "spool")
    assert read_all(listing) == {"a/cat.0.jpg": b"one", "c/dog.png": b"three"}
    assert {name: reason for name, (reason, _) in listing.refused.items()} == {
        "no.jpg": "missing",
        str(other): "outside_link",
        "../other/b.jpg": "outside_link",
    }
    inside = list_pictures(folder, tmp_path / "spool")
    assert inside.table.rows.keys() >= {"a/cat.0.jpg", "no.jpg"}
    assert read_all(inside) == PICTURES
    assert inside.refused["no.jpg"] == ("missing", "listed in l.csv, but not there")
    assert inside.notes == ("labels are those of l.csv",)


def test_no_file_has_a_name_with_a_zero_byte(lay, tmp_path):
    folder = lay({**PICTURES, "l.csv": b"path,label\na/cat.0.jpg,x\na\0.jpg,y\n"})
    listing = list_pictures(folder / "l.csv", tmp_path / "spool")
    assert [reason for reason, _ in listing.refused.values()] == ["missing"]


def test_only_links_that_lead_outside_are_said(lay, tmp_path):
    other = lay(PICTURES, "other")
    (tmp_path / "data").mkdir()
    os.symlink(other, tmp_path / "data/linked")
    with pytest.raises(ValueError, match=r"got 1 links or members that lead outside"):
        list_pictures(tmp_path / "data", tmp_path / "spool")


@pytest.mark.parametrize("damage", ["bytes", "encrypted", "method"])
def test_an_inner_zip_that_cannot_be_unpacked_is_named(pack, tmp_path, damage):
    inner = pack(PICTURES, "inner.zip").read_bytes()
    path = pack({"train.zip": inner}, method=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02")
    if damage == "bytes":
        data[60] ^= 0xFF
    elif damage == "encrypted":
        data[place + 8] |= 1
        data[6] |= 1
    else:
        data[place + 10] = data[8] = 99
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"image_dir must be .*data\.zip/train\.zip"):
        list_pictures(path, tmp_path / "spool")


@pytest.mark.parametrize(("field", "value"), [(20, 2**31), (42, 2**31 - 1), (24, 0)])
def test_a_forged_member_fills_no_memory(pack, tmp_path, field, value):
    # Of its entry in the directory: packed size, header's offset, size.
    path = pack({"a.jpg": b"0" * 5_000_000}, method=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + field
    data[place : place + 4] = value.to_bytes(4, "little")
    path.write_bytes(data)
    tracemalloc.start()
    try:
        place = list_pictures(path, tmp_path).places["a.jpg"]
        with pytest.raises(ValueError, match="zip member"):
            place.read()
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    except ValueError as error:  # zipfile itself sees the wrong offset
        assert "image_dir must be" in str(error)
    finally:
        tracemalloc.stop()


def test_a_list_in_a_zip_starts_from_its_own_folder(pack, tmp_path):
    table = b"label\tpath\nx\tcat.0.jpg\n"
    path = pack({**PICTURES, "a/l.tsv": table, "c/notes.csv": b"a,b\n"})
    listing = list_pictures(path, tmp_path / "spool")
    assert listing.table is None  # not beside all pictures, but among some
    path = pack(
        {f"a/{name}": data for name, data in PICTURES.items()} | {"a/l.tsv": table}
    )
    assert list(list_pictures(path, tmp_path / "s").table.rows) == ["a/cat.0.jpg"]


def test_two_lists_are_no_guess(lay, tmp_path):
    table = b"path,label\n"
    folder = lay({**PICTURES, "l.csv": table, "m.csv": table, "n.csv": b"id\n"})
    with pytest.raises(ValueError, match=r"one list of labels, got l\.csv, m\.csv in"):
        list_pictures(folder, tmp_path)


def test_a_list_of_nothing_there(lay, tmp_path):
    folder = lay({"l.csv": b"path,label\nx/1.jpg,a\n"})
    with pytest.raises(ValueError, match=r"got none that is there among 1 rows"):
        list_pictures(folder / "l.csv", tmp_path)


def test_a_name_that_is_no_utf8_gets_a_key_that_can_be_written(lay, tmp_path):
    folder = lay(PICTURES)
    try:
        (folder / os.fsdecode(b"cat.\xff.jpg")).write_bytes(b"four")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    listing = list_pictures(folder, tmp_path / "spool")
    assert listing.places["cat.\\xff.jpg"].read() == b"four"


def test_of_two_members_of_one_name_the_last_counts(tmp_path):
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning):
        archive.writestr("a.jpg", b"one")
        archive.writestr("a.jpg", b"two")
    assert read_all(list_pictures(path, tmp_path)) == {"a.jpg": b"two"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_is_seen(pack, tmp_path, method):
    path = pack({"a.jpg": b"many letters " * 9}, method=method)
    data = bytearray(path.read_bytes())
    data[38] ^= 0x10
    path.write_bytes(data)
    place = list_pictures(path, tmp_path).places["a.jpg"]
    with pytest.raises(
        ValueError, match=r"zip member('s bytes don't match| is damaged)"
    ):
        place.read()


def test_a_member_without_its_header_is_seen(pack, tmp_path):
    path = pack({"a.jpg": b"one"})
    place = list_pictures(path, tmp_path).places["a.jpg"]
    path.write_bytes(b"X" + path.read_bytes()[1:])
    with pytest.raises(ValueError, match="header is damaged"):
        place.read()


def test_a_rare_packing_is_named(pack, tmp_path):
    path = pack({"a.jpg": b"one"}, method=zipfile.ZIP_BZIP2)
    with pytest.raises(ValueError, match="rare method 12"):
        list_pictures(path, tmp_path).places["a.jpg"].read()


def test_an_encrypted_member_is_named(pack, tmp_path):
    path = pack({"a.jpg": b"one"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="encrypted"):
        list_pictures(path, tmp_path).places["a.jpg"].read()


def test_a_part_of_a_file(tmp_path):
    path = tmp_path / "letters"
    path.write_bytes(b"abcdef")
    assert FilePlace(path=str(path), offset=2, size=3).read() == b"cde"


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_no_pictures_says_where_to_get_some(lay, tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="image_dir must be a folder") as error:
        list_pictures(tmp_path / name, tmp_path / "spool")
    for words in (
        "kaggle competitions download -c dogs-vs-cats",
        "403",
        "rules",
        "PetImages",
        "Cat/ and Dog/",
        "--image_dir",
        "python tools/make_demo_images.py",
    ):
        assert words in str(error.value)


def test_a_file_that_is_no_zip(tmp_path):
    path = tmp_path / "page.zip"
    path.write_bytes(b"<html>403</html>")
    with pytest.raises(ValueError, match=r"whole \.zip, .* got .*page\.zip"):
        list_pictures(path, tmp_path)


def test_several_zips_are_no_guess(lay, tmp_path):
    folder = lay({"a.zip": b"", "b.zip": b""})
    with pytest.raises(
        ValueError, match=r"one archive or one train\.zip, got a\.zip, b\.zip"
    ):
        list_pictures(folder, tmp_path)


def test_zips_too_deep(pack, tmp_path):
    data = pack(PICTURES).read_bytes()
    for _ in range(4):
        data = pack({"in.zip": data}).read_bytes()
    with pytest.raises(ValueError, match="at most 3 archives deep"):
        list_pictures(tmp_path / "data.zip", tmp_path / "spool")


def test_a_list_in_a_folder_names_what_it_names_by_itself(lay, tmp_path):
    pictures = {"a1": b"one", "b.jpg": b"two", ".c.jpg": b"three"}
    rows = "".join(f"{name},cat\n" for name in (*pictures, "gone"))
    folder = lay({**pictures, "l.csv": f"path,label\n{rows}".encode()})
    by_folder = list_pictures(folder, tmp_path / "spool")
    by_list = list_pictures(folder / "l.csv", tmp_path / "spool")
    assert read_all(by_folder) == read_all(by_list) == pictures
    assert by_folder.refused.keys() == by_list.refused.keys() == {"gone"}
    assert by_folder.notes == ("labels are those of l.csv",)


def test_a_list_of_pictures_without_any_ending(lay, tmp_path):
    pictures = {"a1": b"one", "b2": b"two"}
    rows = b"path,label\na1,cat\nb2,dog\n"
    listing = list_pictures(lay({**pictures, "l.csv": rows}), tmp_path / "spool")
    assert read_all(listing) == pictures


def test_a_link_of_a_zip_is_no_place_to_hide_megabytes(tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat.0.jpg", b"one")
        link = zipfile.ZipInfo("dog.1.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, b"x" * 30_000_000, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    listing = list_pictures(path, tmp_path / "spool")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    reason, detail = listing.refused["dog.1.jpg"]
    assert reason == "missing"
    assert len(detail) < 200


def test_an_encrypted_list_is_named(pack, tmp_path):
    path = pack({"cat.0.jpg": b"one", "l.csv": b"path,label\n" + b"x" * 9})
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # of the list, the last one packed
    data[entry + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"encrypted for l.csv; unpack the archive"):
        list_pictures(path, tmp_path / "spool")


def test_a_list_of_absurd_length_is_not_read(lay, tmp_path):
    folder = lay({"cat.0.jpg": b"one", "l.csv": b"path,label\n"})
    os.truncate(folder / "l.csv", 1 << 29)
    with pytest.raises(ValueError, match="536,870,912 bytes, above 268,435,456 for l"):
        list_pictures(folder, tmp_path / "spool")
    # One that is no list of labels is no matter, however long.
    (folder / "l.csv").write_bytes(b"weather,wind\n")
    os.truncate(folder / "l.csv", 1 << 29)
    assert list(list_pictures(folder, tmp_path / "spool").places) == ["cat.0.jpg"]


def test_what_is_no_file_is_counted(lay, tmp_path):
    folder = lay({"cat.0.jpg": b"one"})
    os.mkfifo(folder / "cat.1.jpg")
    listing = list_pictures(folder, tmp_path / "spool")
    assert listing.notes == ("left out 1 pipes, sockets or devices",)


def test_members_of_one_name_are_counted(tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a/cat.1.jpg", "a//cat.1.jpg", "./a/cat.1.jpg"):
            archive.writestr(name, name.encode())
    listing = list_pictures(path, tmp_path / "spool")
    assert read_all(listing) == {"a/cat.1.jpg": b"./a/cat.1.jpg"}
    assert listing.notes == ("left out 2 members: each has the name of a later one",)


def test_an_encoding_for_no_archive_is_said(lay, tmp_path):
    listing = list_pictures(lay(PICTURES), tmp_path / "spool", "gbk")
    assert listing.notes == ("zip_encoding cannot act: the pictures lie in no archive",)
