import json

import pytest

from tfpipe.base.files import FolderLock
from tfpipe.data.demo import demo_set
from tfpipe.data.demo.demo_set import DemoConfig, draw_set


def _config(folder, **settings):
    return DemoConfig(
        image_dir=str(folder), **{"num_images": 6, "image_size": 16, **settings}
    )


def _names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


def _bytes(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.jpg")}


def test_set_has_flat_names_and_half_of_each_class(tmp_path):
    folder = tmp_path / "images"
    drawn = draw_set(_config(folder))
    assert drawn.is_new
    assert drawn.num_images == 6
    assert drawn.num_bytes == sum(map(len, _bytes(folder).values()))
    pictures = [f"{name}.{index}.jpg" for name in ("cat", "dog") for index in range(3)]
    assert _names(folder) == sorted([*pictures, "demo.json"])
    listing = json.loads((folder / "demo.json").read_text())
    assert sorted(listing["files"]) == pictures
    assert listing["settings"]["num_images"] == 6


def test_same_settings_draw_the_same_bytes(tmp_path):
    folder = tmp_path / "first"
    draw_set(_config(folder))
    draw_set(_config(tmp_path / "again"))
    draw_set(_config(tmp_path / "other", seed=1))
    assert _bytes(folder) == _bytes(tmp_path / "again")
    assert not set(_bytes(folder).values()) & set(_bytes(tmp_path / "other").values())


def test_complete_set_is_left_alone(tmp_path):
    folder = tmp_path / "images"
    draw_set(_config(folder))
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert not draw_set(_config(folder)).is_new
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_missing_picture_is_drawn_again(tmp_path):
    folder = tmp_path / "images"
    draw_set(_config(folder))
    before = _bytes(folder)
    (folder / "dog.1.jpg").unlink()
    assert draw_set(_config(folder)).is_new
    assert _bytes(folder) == before


def test_interrupted_set_is_finished_by_the_same_command(tmp_path, monkeypatch):
    folder = tmp_path / "images"
    draw, calls = demo_set.drawings.draw_jpeg, []

    def draw_four(*args, **settings):
        calls.append(args)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return draw(*args, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(demo_set.drawings, "draw_jpeg", draw_four)
        with pytest.raises(KeyboardInterrupt):
            draw_set(_config(folder))
    assert "demo.json" not in _names(folder)
    with pytest.raises(ValueError, match="hold the set of these settings, got"):
        draw_set(_config(folder, num_images=2))
    draw_set(_config(folder))
    assert len(_names(folder)) == 7


def test_set_of_other_settings_needs_overwrite(tmp_path):
    folder = tmp_path / "images"
    draw_set(_config(folder))
    with pytest.raises(ValueError, match=r"got .*num_images=6, .*, or replace"):
        draw_set(_config(folder, num_images=4))
    assert len(_bytes(folder)) == 6
    draw_set(_config(folder, num_images=4, overwrite=True))
    assert len(_bytes(folder)) == 4
    assert not draw_set(_config(folder, num_images=4)).is_new


def test_overwrite_draws_the_same_set_again(tmp_path):
    folder = tmp_path / "images"
    draw_set(_config(folder))
    before = _bytes(folder)
    (folder / "cat.0.jpg").write_bytes(b"spoilt")
    assert draw_set(_config(folder, overwrite=True)).is_new
    assert _bytes(folder) == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["cat.0.jpg", "demo.json"])
def test_folder_with_other_files_is_refused_untouched(tmp_path, name, overwrite):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / name).write_text("{}")
    with pytest.raises(ValueError, match=f"got 1 other files in .* \\({name}\\)"):
        draw_set(_config(folder, overwrite=overwrite))
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "{}"


def test_file_beside_a_set_is_refused_and_kept(tmp_path):
    folder = tmp_path / "images"
    draw_set(_config(folder))
    (folder / "mine.jpg").write_text("mine")
    with pytest.raises(ValueError, match=r"mine\.jpg"):
        draw_set(_config(folder, overwrite=True))
    assert len(_names(folder)) == 8


def test_listing_names_nothing_outside_its_folder(tmp_path):
    folder = tmp_path / "images"
    outside = folder.parent / "outside.jpg"
    draw_set(_config(folder))
    outside.write_text("mine")
    listing = json.loads((folder / "demo.json").read_text())
    listing["files"].append("../outside.jpg")
    (folder / "demo.json").write_text(json.dumps(listing))
    draw_set(_config(folder, overwrite=True))
    assert outside.read_text() == "mine"


def test_file_in_the_folders_place_is_refused(tmp_path):
    folder = tmp_path / "images"
    folder.write_text("")
    with pytest.raises(ValueError, match="image_dir must be a folder, got the file"):
        draw_set(_config(folder))


def test_odd_number_of_pictures_is_refused(tmp_path):
    folder = tmp_path / "images"
    with pytest.raises(ValueError, match="num_images must be an even number, got 7"):
        _config(folder, num_images=7)


def test_second_writer_is_refused(tmp_path):
    with (
        FolderLock(tmp_path),
        pytest.raises(BlockingIOError, match="must have one writer, got a second"),
    ):
        draw_set(_config(tmp_path))
