import pytest

from tfpipe.data.inputs.labels import label_sources
from tfpipe.data.inputs.places import FilePlace
from tfpipe.data.inputs.sources import Listing
from tfpipe.data.inputs.tables import read_table

PLACE = FilePlace(path="x", size=1)


def label(keys, class_names=(), table=None, refused=()):
    listing = Listing(
        places=dict.fromkeys(keys, PLACE),
        refused=dict.fromkeys(refused, ("missing", "not there")),
        table=table and read_table(table.encode(), "l.csv", ""),
        notes=(),
    )
    return label_sources(listing, class_names)


def labels(found):
    return {source.key: source.label for source in found.sources}


def test_flat_names_and_the_deepest_common_folder():
    found = label(["in/train/cat.0.jpg", "in/train/dog.0.jpg"])
    assert found.class_names == ("dog", "cat")
    assert labels(found) == {"cat.0.jpg": 1, "dog.0.jpg": 0}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Cat.jpg", 1),
        ("my_CAT-2.jpg", 1),
        ("cat01.jpg", 1),
        ("01cat.jpg", 1),
        ("cat.cat.jpg", 1),
        ("the dog (3).jpg", 0),
        ("catalog.dog.1.jpg", 0),
        ("catalog.jpg", "unlabelled"),
        ("wildcat.jpg", "unlabelled"),
        ("x.jpg", "unlabelled"),
        ("cat.dog.jpg", "ambiguous"),
    ],
)
def test_the_class_is_a_whole_word_of_the_name(name, expected):
    found = label(["cat.0.jpg", "dog.0.jpg", name])
    source = next(source for source in found.sources if source.key == name)
    assert expected == (source.reason if source.label is None else source.label)
    assert bool(source.detail) == (source.label is None)


def test_a_number_is_no_part_of_a_longer_number():
    found = label(["kind1.x.jpg", "kind10.x.jpg"], ("kind1", "kind10"))
    assert labels(found) == {"kind1.x.jpg": 0, "kind10.x.jpg": 1}


def test_folders_sorted_pictures_at_any_depth():
    found = label(["in/b/1.jpg", "in/a/deep/er/1.jpg", "in/c/1.jpg", "in/stray.jpg"])
    assert found.class_names == ("a", "b", "c")
    assert labels(found) == {
        "a/deep/er/1.jpg": 0,
        "b/1.jpg": 1,
        "c/1.jpg": 2,
        "stray.jpg": None,
    }


@pytest.mark.parametrize("folders", [("Cat", "Dog"), ("cats", "dogs")])
def test_dog_is_0_and_cat_is_1(folders):
    found = label([f"PetImages/{folder}/0.jpg" for folder in folders])
    assert found.class_names == ("dog", "cat")
    assert list(labels(found).values()) == [1, 0]


def test_dog_is_0_even_if_told_otherwise_and_that_is_said():
    found = label(["cat.0.jpg", "dog.0.jpg"], ("cat", "dog"))
    assert found.class_names == ("dog", "cat")
    assert found.notes == ("labels are dog=0, cat=1, as in the experiment",)


def test_given_names_give_the_order_and_other_folders_are_rejects():
    found = label(["a/1.jpg", "b/1.jpg", "c/1.jpg"], ("B", "A"))
    assert found.class_names == ("B", "A")
    assert labels(found) == {"a/1.jpg": 1, "b/1.jpg": 0, "c/1.jpg": None}
    assert found.sources[2].detail == "folder c is no class"


def test_given_names_may_stand_in_file_names_of_any_folder():
    found = label(["1/red.1.jpg", "2/blue.1.jpg"], ("red", "blue"))
    assert labels(found) == {"1/red.1.jpg": 0, "2/blue.1.jpg": 1}


def test_kaggles_extracted_test_folder_is_left_out():
    found = label(["train/cat.0.jpg", "train/dog.0.jpg", "test1/1.jpg", "test1/2.jpg"])
    assert labels(found) == {"cat.0.jpg": 1, "dog.0.jpg": 0}
    assert found.notes == ("reading train/; left out test1/ with 2 pictures",)


def splits(found):
    return {source.key: source.split for source in found.sources}


def test_split_folders_are_taken_as_the_splits_they_are():
    found = label(
        [
            "x/Train/cat/1.jpg",
            "x/Train/dog/2.jpg",
            "x/val/dog/a/3.jpg",
            "x/test/cat/4.jpg",
        ]
    )
    assert splits(found) == {
        "Train/cat/1.jpg": "train",
        "Train/dog/2.jpg": "train",
        "val/dog/a/3.jpg": "validation",
        "test/cat/4.jpg": "test",
    }
    assert list(labels(found).values()) == [1, 0, 1, 0]
    assert found.notes == (
        "taking Train/, val/, test/ as the splits that they are",
        "the input gives its splits: --validation_split isn't used",
    )


def test_flat_names_in_split_folders():
    found = label(["train/cat.1.jpg", "train/dog.1.jpg", "validation/cat.2.jpg"])
    assert splits(found)["validation/cat.2.jpg"] == "validation"
    assert labels(found)["validation/cat.2.jpg"] == 1


def test_without_validation_pictures_train_is_open():
    found = label(["train/a/1.jpg", "train/b/2.jpg", "test/a/3.jpg"])
    assert list(splits(found).values()) == ["test", "", ""]
    assert "no validation pictures are given" in found.notes[-1]


def test_a_split_folder_without_classes_is_left_out():
    found = label(["train/a/1.jpg", "train/b/2.jpg", "val/b/3.jpg", "test/4.jpg"])
    assert "test/4.jpg" not in labels(found)
    assert found.notes[0] == "left out test/ with 1 pictures of no class"


def test_what_lies_beside_split_folders_is_rejected():
    found = label(["train/a/1.jpg", "train/b/2.jpg", "val/b/3.jpg", "a.jpg"])
    assert found.sources[0].detail == "lies in no split's folder"


@pytest.mark.parametrize("tops", ["train val samples", "val test"])
def test_split_folders_that_do_not_fit_are_no_classes(tops):
    keys = [f"{top}/{name}/1.jpg" for top in tops.split() for name in ("a", "b")]
    with pytest.raises(ValueError, match="must hold the folders of splits alone"):
        label(keys)


def test_two_folders_of_one_split_are_no_guess():
    with pytest.raises(
        ValueError, match=r"one folder a split, got train/, val/, valid"
    ):
        label(["train/a/1.jpg", "val/a/1.jpg", "validation/b/1.jpg"])


def test_a_list_gives_labels_splits_and_groups():
    table = "Path, Label ,split,group\nb/1.jpg,红,VAL,g\nb/2.jpg,蓝,train,\n"
    table += "b/3.jpg,,test,\n"
    found = label(["b/1.jpg", "b/2.jpg", "b/3.jpg", "b/4.jpg"], table=table)
    assert found.class_names == ("红", "蓝")
    assert labels(found) == {"1.jpg": 0, "2.jpg": 1, "3.jpg": None, "4.jpg": None}
    assert [(s.split, s.group) for s in found.sources[:2]] == [
        ("validation", "g"),
        ("train", ""),
    ]
    assert found.sources[2].detail == "label '' is no class"
    assert found.sources[3].detail == "not listed in l.csv"


def test_numbers_in_a_list_are_their_labels():
    rows = "".join(f"{n}.jpg,{n}\n" for n in range(12))
    found = label([f"{n}.jpg" for n in range(12)], table="path,label\n" + rows)
    assert all(s.key == f"{s.label}.jpg" for s in found.sources)


def test_a_picture_listed_twice_with_two_labels_is_ambiguous():
    table = "path,label\n1.jpg,a\n./1.jpg,b\n2.jpg,a\n2.jpg,a\n3.jpg,b\n"
    found = label(["1.jpg", "2.jpg", "3.jpg"], table=table)
    assert labels(found) == {"1.jpg": None, "2.jpg": 0, "3.jpg": 1}
    assert found.sources[0].reason == "ambiguous"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "file,label\n",
            "must have the columns path, label and may .* got file, label",
        ),
        ("", "got no header"),
        ("path,label,split\n1.jpg,a,dev\n", "got 'dev' in line 2 of l.csv"),
        ("path,label,split\n1.jpg,a,test\n2.jpg,b,\n", "got it in 1 of 2"),
        ('path,label\n1.jpg,"' + "x" * 140_000 + '"\n', "well-formed table, got field"),
    ],
)
def test_a_wrong_list_is_named(table, message):
    with pytest.raises(ValueError, match=message):
        read_table(table.encode(), "l.csv", "")


def test_a_class_name_is_one_printable_line():
    with pytest.raises(
        ValueError, match=r"class names must be one line .* got 'a\\nb'"
    ):
        label(["a\nb/1.jpg", "c/1.jpg"])


def test_a_list_in_another_encoding_is_named():
    with pytest.raises(ValueError, match="must be UTF-8 text"):
        read_table("path,label\n狗.jpg,狗\n".encode("gbk"), "l.csv", "")


def test_what_could_not_be_taken_is_among_the_rejects():
    found = label(["in/cat.jpg", "in/dog.jpg"], refused=["in/cat.2.jpg", "../x.jpg"])
    rejects = [(s.key, s.reason) for s in found.sources if s.label is None]
    assert rejects == [("../x.jpg", "missing"), ("cat.2.jpg", "missing")]


@pytest.mark.parametrize("keys", [["a.jpg", "b.jpg"], ["cat.jpg"], ["only/1.jpg"]])
def test_every_class_must_have_a_picture(keys):
    with pytest.raises(ValueError, match=r"every class must have a picture, got none"):
        label(keys)


@pytest.mark.parametrize("names", [("cat",), ("cat", "Cat")])
def test_class_names_must_be_two_different_ones(names):
    with pytest.raises(ValueError, match="at least two different names"):
        label(["cat.jpg", "dog.jpg"], names)
