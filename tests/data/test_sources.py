import os
import zipfile

import pytest

from tfpipe.data.sources import FilePlace, list_pictures


def read_all(listing):
    return {name: place.read() for name, place in listing.places.items()}


PICTURES = {"a/cat.0.jpg": b"one", "a/b/猫 1.JPG": b"two", "c/dog.png": b"three"}
OTHERS = {"c/notes.txt": b"", "a/.hidden.jpg": b"", "__MACOSX/a/cat.0.jpg": b""}


def test_a_folder(lay, tmp_path):
    listing = list_pictures(lay({**PICTURES, **OTHERS}), tmp_path / "spool")
    assert read_all(listing) == PICTURES
    assert listing.notes == ("left out 1 file that is no picture",)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_agrees_with_its_folder(pack, tmp_path, method):
    listing = list_pictures(
        pack({**PICTURES, **OTHERS}, method=method), tmp_path / "spool"
    )
    assert read_all(listing) == PICTURES
    assert listing.notes == ("left out 1 file that is no picture",)
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


def test_a_link_to_a_folder_is_left_out_and_said(lay, tmp_path):
    folder = lay(PICTURES)
    os.symlink(folder, folder / "loop")
    os.symlink(folder / "a/cat.0.jpg", folder / "linked.jpg")
    listing = list_pictures(folder, tmp_path / "spool")
    assert read_all(listing) == {**PICTURES, "linked.jpg": b"one"}
    assert listing.notes == ("left out 1 links to folders",)


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
    with pytest.raises(ValueError, match=r"whole \.zip file, got .*page\.zip"):
        list_pictures(path, tmp_path)


def test_several_zips_are_no_guess(lay, tmp_path):
    folder = lay({"a.zip": b"", "b.zip": b""})
    with pytest.raises(ValueError, match=r"one train\.zip, got a\.zip, b\.zip"):
        list_pictures(folder, tmp_path)


def test_zips_too_deep(pack, tmp_path):
    data = pack(PICTURES).read_bytes()
    for _ in range(4):
        data = pack({"in.zip": data}).read_bytes()
    with pytest.raises(ValueError, match="at most 3 zips deep"):
        list_pictures(tmp_path / "data.zip", tmp_path / "spool")
