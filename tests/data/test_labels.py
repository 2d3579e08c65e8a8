import pytest

from tfpipe.data.labels import label_sources
from tfpipe.data.sources import FilePlace

PLACE = FilePlace(path="x", size=1)


def label(keys, class_names=()):
    return label_sources(dict.fromkeys(keys, PLACE), class_names)


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


def test_split_folders_are_no_classes():
    with pytest.raises(ValueError, match="one set of pictures, got the splits"):
        label(["train/cat/1.jpg", "val/cat/1.jpg"])


@pytest.mark.parametrize("keys", [["a.jpg", "b.jpg"], ["cat.jpg"], ["only/1.jpg"]])
def test_every_class_must_have_a_picture(keys):
    with pytest.raises(ValueError, match=r"every class must have a picture, got none"):
        label(keys)


@pytest.mark.parametrize("names", [("cat",), ("cat", "Cat")])
def test_class_names_must_be_two_different_ones(names):
    with pytest.raises(ValueError, match="at least two different names"):
        label(["cat.jpg", "dog.jpg"], names)
