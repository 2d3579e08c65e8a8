import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
LAUNCHER = CHECKOUT / "tools" / "make_demo_images.py"


def _run(*flags, cwd):
    return subprocess.run(
        [sys.executable, str(LAUNCHER), *flags],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_draws_then_says_that_it_is_done(tmp_path):
    flags = ["--num_images=8", "--image_size=24"]
    first, second = _run(*flags, cwd=tmp_path), _run(*flags, cwd=tmp_path)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert len(list((tmp_path / "demo" / "images").glob("*.jpg"))) == 8
    assert "demo/images: 8 pictures, half cats, half dogs" in first.stdout
    assert "--image_dir=demo/images --records_dir=demo/records" in first.stdout
    assert "already there; nothing to do" in second.stdout


def test_wrong_input_is_one_line(tmp_path):
    (tmp_path / "demo" / "images").mkdir(parents=True)
    (tmp_path / "demo" / "images" / "mine.txt").touch()
    for flags, expected in (
        ((), "error: image_dir must be a new folder"),
        (("--num_images=3",), "error: num_images must be an even number, got 3"),
        (("--num_image=4",), "error: flag must be one that --help lists"),
    ):
        result = _run(*flags, cwd=tmp_path)
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.startswith(expected)
        assert result.stderr.count("\n") == 1


def test_help_opens_with_the_command(tmp_path):
    result = _run("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stdout.startswith("python tools/make_demo_images.py\n")
    for name in ("image_dir", "num_images", "image_size", "seed", "[no]overwrite"):
        assert f"--{name}" in result.stdout
