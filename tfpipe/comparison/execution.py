"""Train the runs of a study: each in a process of its own, one or several at a time."""

import dataclasses
import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tfpipe.base import files, machine, sharing
from tfpipe.base.sharing import Share
from tfpipe.comparison import forecast
from tfpipe.comparison.board import Board
from tfpipe.comparison.study import find_finished, why_unreadable
from tfpipe.training import run_folder
from tfpipe.training.config import RunConfig
from tfpipe.training.naming import run_name
from tfpipe.training.run_folder import RunRecord

EXIT_DONE, EXIT_WRONG_INPUT, EXIT_DIVERGED = 0, 2, 3
LOGS = "logs"
"""Folder beside the run folders: what each run said that trained beside others."""
TICK_SECONDS = 0.2

Command = Callable[[RunConfig], list[str]]


def train_runs(
    runs: Sequence[RunConfig], command: Command, workers: str = "1"
) -> list[int]:
    """Train what is left to train, each run in a process of its own.

    A run that fails doesn't stop the others. On Ctrl-C or SIGTERM the processes that
    train are told to save, waited for, and the exception goes on; at a second one they
    are killed, and what was saved before stands.

    One at a time, runs are trained in the order given and say what they do here, on a
    terminal above a table of all of them. Of several, each has its share of cores,
    memory and GPUs, and a log below `LOGS`; replicates begin in order, and the longest
    run of each first. On a CPU with TensorFlow the numbers are the same bit for bit:
    see `sharing.divide`.

    Args:
        runs: the runs of a study.
        command: gives the command line that trains a run, and exits as a trainer:
            0 done, 2 wrong input, 3 diverged.
        workers: how many train at a time; "auto": one for each GPU, else one.

    Returns:
        The exit code of each run's trainer; of a run that had ended before, the code
        its trainer ended with.
    """
    for run in runs:
        folder = run_folder.run_folder(run)
        if files.FolderLock.is_held(folder):
            raise ValueError(
                f"{folder} must have one writer, got another process that trains it "
                "now; wait until it ends, or stop it and give this command again"
            )
    finished = [find_finished(run) for run in runs]
    num_workers = count_workers(workers, finished.count(None))
    train = _train_in_turn if num_workers == 1 else _train_together
    return train(runs, finished, command, num_workers)


def count_workers(asked: str, num_runs: int) -> int:
    """Return how many of the runs that are left train at a time."""
    wanted = len(machine.visible_gpus()) if asked == "auto" else int(asked)
    return max(1, min(wanted, num_runs))


def runs_left(runs: Sequence[RunConfig]) -> list[RunConfig]:
    """Return the runs that have something left to train."""
    return [run for run in runs if not find_finished(run)]


def _train_in_turn(
    runs: Sequence[RunConfig],
    finished: Sequence[RunRecord | None],
    command: Command,
    num_workers: int,
) -> list[int]:
    codes = []
    waiting = [r for r, record in zip(runs, finished, strict=True) if not record]
    with Board(runs, waiting, num_workers) as board:
        for number, (run, record) in enumerate(
            zip(runs, finished, strict=True), start=1
        ):
            header = f"run {number} of {len(runs)}: {run_name(run)}"
            if record:
                codes.append(_skip(header, record, board))
                continue
            board.say(header)
            board.begin(run)
            train = _train_above_table if board.is_live else _train
            codes.append(train(command(run), board))
            board.end(run, _meaning(codes[-1]))
            if codes[-1] != EXIT_DONE:
                board.say(f"{header}: {_meaning(codes[-1])}; going on")
            waiting.remove(run)
            if waiting and not board.is_live:
                left = forecast.describe_left(waiting, num_workers, board.paces)
                board.say(left)
    return codes


def _skip(header: str, record: RunRecord, board: Board) -> int:
    board.say(f"{header}: {_ended(record)}, not trained again")
    diverged = record.status["status"] == "diverged"
    return EXIT_DIVERGED if diverged else EXIT_DONE


def _train(command: list[str], _board: Board) -> int:
    # A session of its own: Ctrl-C on a terminal reaches every process of the
    # foreground group, and a trainer that is told twice might not finish saving.
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return process.wait()
    except BaseException:
        _stop([process], is_heard=True)
        raise


def _train_above_table(command: list[str], board: Board) -> int:
    """Train a run whose lines go above the table."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,  # as in `_train`
    ) as process:
        text = b""

        def say(part: bytes, end: bytes = b"") -> bytes:
            *lines, rest = (part + end).split(b"\n")
            for line in lines:
                board.say(line.decode(errors="replace"))
            return rest

        try:
            while part := _read(process, board):
                text = say(text + part)
            return process.wait()
        except BaseException:
            try:
                process.terminate()
                while part := _read(process, board):
                    text = say(text + part)
            except KeyboardInterrupt:
                process.kill()
            raise
        finally:
            if text:
                say(text, b"\n")


def _read(process: subprocess.Popen[bytes], board: Board) -> bytes:
    """Return what a process wrote, b"" at its end; meanwhile the table is drawn.

    Its end is its own: what it left behind may hold its pipe for longer.
    """
    assert process.stdout
    pipe = process.stdout.fileno()
    while not select.select([pipe], [], [], TICK_SECONDS)[0]:
        board.refresh()
        if process.poll() is not None:
            return b""
    board.refresh()
    return os.read(pipe, 1 << 16)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Worker:
    """A run that trains beside others."""

    run: RunConfig
    header: str
    share: Share
    process: subprocess.Popen[bytes]


def _train_together(
    runs: Sequence[RunConfig],
    finished: Sequence[RunRecord | None],
    command: Command,
    num_workers: int,
) -> list[int]:
    names = [run_name(run) for run in runs]
    headers = {
        name: f"run {number} of {len(runs)}: {name}"
        for number, name in enumerate(names, start=1)
    }
    ended_before = {
        name: record for name, record in zip(names, finished, strict=True) if record
    }
    codes: dict[str, int] = {}
    left = [run for run in runs if run_name(run) not in ended_before]
    waiting = forecast.longest_first(left, forecast.measure_paces(runs, num_workers))
    free = sharing.divide(num_workers, machine.visible_gpus())
    working: list[_Worker] = []
    with Board(runs, waiting, num_workers) as board:
        for name, record in ended_before.items():
            codes[name] = _skip(headers[name], record, board)
        board.say(_describe_shares(free))
        try:
            while waiting or working:
                while waiting and free:
                    run, share = waiting.pop(0), free.pop(0)
                    process = _start(command(run), share, log_path(run))
                    header = headers[run_name(run)]
                    working.append(
                        _Worker(run=run, header=header, share=share, process=process)
                    )
                    board.begin(run)
                    board.say(f"{header}: starts, its log is {log_path(run)}")
                ended = [w for w in working if w.process.poll() is not None]
                for worker in ended:
                    working.remove(worker)
                    free.append(worker.share)
                    code = codes[run_name(worker.run)] = worker.process.returncode
                    board.end(worker.run, _meaning(code))
                    board.say(f"{worker.header}: {_outcome(worker.run, code)}")
                board.refresh()
                if not ended:
                    time.sleep(TICK_SECONDS)
        except BaseException:
            _stop([worker.process for worker in working])
            raise
    return [codes[run_name(run)] for run in runs]


def _start(command: list[str], share: Share, log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    # What is written is there to be read at once, and all of it after a kill.
    environment = {**os.environ, **share.environment, "PYTHONUNBUFFERED": "1"}
    with open(log, "ab") as file, sharing.bound_to(share.cores):
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # as for one at a time
        )


def log_path(run: RunConfig) -> Path:
    """Return where a run that trains beside others says what it does."""
    return Path(run.run.runs_dir) / LOGS / f"{run_name(run)}.log"


def _stop(processes: Sequence[subprocess.Popen[bytes]], is_heard: bool = False) -> None:
    """Tell trainers to save and wait for them; asked again meanwhile, kill them.

    Args:
        processes: the trainers.
        is_heard: whether what they say, this too, is seen at once.
    """
    try:
        for process in processes:
            process.terminate()
        if processes and not is_heard:
            num = len(processes)
            words = "runs save" if num > 1 else "run saves"
            print(
                f"{num} {words} after this step; once more stops "
                f"{'them' if num > 1 else 'it'} at once, unsaved",
                flush=True,
            )
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def _describe_shares(shares: Sequence[Share]) -> str:
    environment = shares[0].environment
    memory = int(environment[machine.MEMORY_BYTES]) / 1e9
    parts = [f"{memory:.1f} GB of memory"]
    counts = sorted({len(share.cores) for share in shares if share.cores})
    if counts:
        few, most = counts[0], counts[-1]
        words = f"{few}" if few == most else f"{few} or {most}"
        parts.insert(0, f"{words} core{'s' * (most > 1)}")
    if machine.CUDA_DEVICES in environment:
        beside = max(int(share.environment[machine.GPU_WORKERS]) for share in shares)
        parts.append("a GPU" if beside == 1 else f"a GPU that {beside} share")
    return f"{len(shares)} runs at a time, each with {', '.join(parts)}"


def _outcome(run: RunConfig, code: int) -> str:
    if code == EXIT_DONE:
        return _meaning(code)
    if code < 0 or code == EXIT_DIVERGED:
        return f"{_meaning(code)}; going on"
    lines = log_path(run).read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    said = f" ({last})" if last else ""
    return f"{_meaning(code)}{said}; going on"


def _meaning(code: int) -> str:
    if code < 0:
        why = " (most often too little memory)" * (code == -signal.SIGKILL)
        return f"killed by signal {-code}{why}"
    words = {
        EXIT_DONE: "done",
        EXIT_WRONG_INPUT: "refused its input",
        EXIT_DIVERGED: "diverged",
    }
    return words.get(code, f"failed with exit code {code}")


def describe_plan(
    runs: Sequence[RunConfig],
    command: Command,
    workers: str,
    paces: Sequence[forecast.Pace],
) -> str:
    """Return each run's state and command, and how long those that are left take.

    Args:
        runs, command, workers: as for `train_runs`.
        paces: what is known.
    """
    finished = [find_finished(run) for run in runs]
    lines = []
    for number, (run, record) in enumerate(zip(runs, finished, strict=True), start=1):
        state = _ended(record) if record else _to_train(run, paces)
        lines.append(f"run {number} of {len(runs)}: {run_name(run)}: {state}")
        lines.append(f"    {shlex.join(command(run))}")
    left = [r for r, record in zip(runs, finished, strict=True) if not record]
    if left:
        num_workers = count_workers(workers, len(left))
        lines.append(forecast.describe_left(left, num_workers, paces))
    return "\n".join(lines)


def _to_train(run: RunConfig, paces: Sequence[forecast.Pace]) -> str:
    reason = why_unreadable(run)
    if reason:
        return f"will be refused: {reason}"
    step = forecast.steps_done(run)
    state = f"goes on after step {step:,}" if step else "to train"
    seconds = forecast.expect_seconds(run, paces)
    return state if seconds is None else f"{state}, {forecast.about(seconds)}"


def _ended(record: RunRecord) -> str:
    return f"{record.status['status']} before, at epoch {record.status['epoch']}"
