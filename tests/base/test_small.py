"""Seeds, machine, progress, signals."""

import os
import signal
import subprocess
import sys

import pytest

from tfpipe.base import machine, progress, seeds, signals


def test_seed_streams_are_pinned_and_differ():
    assert seeds.derive_seed(0, "order", 0) == 7983451878373509741
    streams = {seeds.derive_seed(s, n, e) for s in (0, 1) for n in "ab" for e in (0, 1)}
    assert len(streams) == 8


def test_cores_and_memory_respect_a_cgroup(tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert machine.usable_cores() == 2
    assert machine.usable_memory_bytes() == 600_000


def test_limits_of_the_groups_that_hold_this_ones_count(tmp_path, monkeypatch):
    inner = tmp_path / "system.slice" / "job"
    inner.mkdir(parents=True)
    (tmp_path / "self").write_text("0::/system.slice/job\n")
    (inner.parent / "cpu.max").write_text("300000 100000\n")
    (inner.parent / "memory.max").write_text("9000000\n")
    (inner.parent / "memory.current").write_text("8500000\n")
    (inner.parent / "memory.stat").write_text("anon 1\ninactive_file 500000\n")
    (inner / "cpu.max").write_text("max 100000\n")
    (inner / "memory.max").write_text("max\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(machine, "SELF_CGROUP", tmp_path / "self")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert machine.usable_cores() == 3
    # Files read long ago are given back when memory is wanted.
    assert machine.usable_memory_bytes() == 1_000_000


def test_an_unlimited_cgroup_leaves_the_machine(tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text("max 100000\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(3)), raising=False)
    assert machine.usable_cores() == 3
    assert machine.usable_memory_bytes() > 1e8


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.4, "8 s"), (59.7, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_durations_read_as_people_say_them(seconds, text):
    assert progress.format_seconds(seconds) == text


def test_progress_in_a_log_is_plain_and_rare(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Progress("scan", 100, "pictures") as bar:
        for _ in range(40):
            now[0] += 1.0
            bar.advance(note="ok")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "scan 15/100 pictures, 1.0/s, 1 min 25 s left, ok",
        "scan 30/100 pictures, 1.0/s, 1 min 10 s left, ok",
    ]


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, signals.Terminated)],
)
def test_signals_wait_until_asked_for(number, error):
    before = signal.getsignal(number)
    with signals.postponed_signals() as postponed:
        postponed.raise_received()
        os.kill(os.getpid(), number)
        with pytest.raises(error):
            postponed.raise_received()
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_at_once():
    code = (
        "import os, signal\n"
        "from tfpipe.base.signals import postponed_signals\n"
        "with postponed_signals():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('goes on', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('never', flush=True)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert (result.returncode, result.stdout) == (130, "goes on\n")
    assert "stopping after this step" in result.stderr
    assert "stopped at once" in result.stderr
