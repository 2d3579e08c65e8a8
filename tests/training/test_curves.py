import numpy as np
from PIL import Image

from tfpipe.training import curves


def lines(*epochs):
    return [
        {
            "epoch": epoch,
            "loss": 0.7,
            "accuracy": 0.5,
            "val_loss": 0.69,
            "val_accuracy": 0.6,
        }
        for epoch in epochs
    ]


def test_a_run_is_drawn_as_two_pictures_with_the_same_bytes_again(tmp_path):
    first = []
    for folder in (tmp_path / "a", tmp_path / "b" / "plots"):
        curves.draw_run(lines(1, 2), folder, "adam-lr0.001-s0", 0.5)
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["accuracy.png", "loss.png"]
        first.append([(folder / name).read_bytes() for name in names])
    assert first[0] == first[1]
    with Image.open(tmp_path / "a" / "accuracy.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    for colour in (curves.TRAIN_COLOUR, curves.TEST_COLOUR):
        rgb = tuple(bytes.fromhex(colour[1:]))
        assert (pixels == rgb).all(axis=-1).sum() > 100, colour


def test_a_person_s_own_matplotlib_style_does_not_act(tmp_path):
    import matplotlib

    curves.draw_run(lines(1), tmp_path / "plain", "run", 0.5)
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20}):
        curves.draw_run(lines(1), tmp_path / "own", "run", 0.5)
    plain = (tmp_path / "plain" / "loss.png").read_bytes()
    assert (tmp_path / "own" / "loss.png").read_bytes() == plain
