"""What the binaries share: flags from config fields, help, errors, exit codes.

Exit codes: 0 finished, stopped early, already done, --help; 1 a fault of ours;
2 wrong flag, input or folder; 3 diverged; 130 Ctrl-C and 143 SIGTERM, after saving.
"""

import errno
import os
import signal
import sys
import textwrap
import traceback
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from absl import flags

from tfpipe.base import settings
from tfpipe.base.signals import Terminated

EXIT_OK, EXIT_FAULT, EXIT_WRONG_INPUT, EXIT_DIVERGED = 0, 1, 2, 3
EXIT_INTERRUPTED, EXIT_BROKEN_PIPE, EXIT_TERMINATED = 130, 141, 143

PACKAGE_DIR = Path(__file__).resolve().parent

Config = TypeVar("Config")


def run_binary(
    doc: str,
    config_class: type[Config],
    work: Callable[[Config], int],
    argv: Sequence[str] | None = None,
    *,
    positional: Sequence[str] = (),
) -> NoReturn:
    """Parse flags into a config, do the work, exit with the house's codes.

    Args:
        doc: the binary's docstring: its help.
        config_class: a frozen dataclass declared with `settings.setting`.
        work: takes the config, returns an exit code.
        argv: the arguments behind the program's name; default `sys.argv[1:]`.
        positional: settings that words without a flag are, in turn; a list takes all
            that are left.
    """
    # A shell starts background commands with Ctrl-C ignored; a script may send it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _raise_terminated)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, _raise_terminated)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if any(word in ("--help", "-h", "-help", "--helpfull") for word in arguments):
            print(help_text(doc, config_class))
            sys.exit(EXIT_OK)
        code = work(parse_flags(config_class, arguments, positional))
    except Terminated:
        code = EXIT_TERMINATED
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of the output went away, as `head` does: nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_BROKEN_PIPE
    except (ValueError, OSError) as error:
        code = _report(error)
    except Exception:
        traceback.print_exc()
        code = EXIT_FAULT
    sys.stdout.flush()
    sys.exit(code)


def _report(error: Exception) -> int:
    """Print a person's mistake as one line; a fault of ours keeps its traceback.

    Errors that this package raises for people are ValueErrors and OSErrors; the same
    kinds from a library are faults, told apart by where they were raised.
    """
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    raised_in = Path(frame.tb_frame.f_code.co_filename) if frame else Path()
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        error = OSError(
            f"disk must have room for {error.filename or 'the output'}, got a full "
            "disk; free some space and give the same command again"
        )
    elif isinstance(error, OSError) and error.strerror and error.filename:
        error = OSError(
            f"{error.filename} must be usable, got: {error.strerror}; check the path "
            "and its permissions"
        )
    if isinstance(error, OSError) or PACKAGE_DIR in raised_in.parents:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    traceback.print_exception(error)
    return EXIT_FAULT


def _raise_terminated(signum: int, frame: types.FrameType | None) -> None:
    raise Terminated


def parse_flags(
    config_class: type[Config], argv: Sequence[str], positional: Sequence[str] = ()
) -> Config:
    """Turn command-line words into a config; see `run_binary` for `positional`.

    Raises:
        ValueError: for an unknown flag, a stray argument or a wrong value.
    """
    values = flags.FlagValues()
    kinds = {}
    for _, field, kind in settings.settings_of(config_class):
        kinds[field.name] = kind
        define = flags.DEFINE_string
        if kind is bool:
            define = flags.DEFINE_boolean
        elif field.metadata["repeated"]:
            define = flags.DEFINE_multi_string
        define(field.name, None, field.metadata["help"], flag_values=values)
    try:
        stray = values(["binary", *argv])[1:]
    except flags.UnrecognizedFlagError as error:
        raise ValueError(
            f"flag must be one that --help lists, got --{error.flagname}"
            f"{settings.did_you_mean(error.flagname, kinds, '--')}"
        ) from None
    except flags.IllegalFlagValueError as error:
        # Only booleans are parsed by absl: "flag --name=value: reason".
        name, _, value = str(error).removeprefix("flag --").partition("=")
        value = value.partition(":")[0]
        raise ValueError(f"{name} must be true or false, got {value!r}") from None
    except flags.Error as error:
        name = str(error).rpartition(" ")[2]
        raise ValueError(f"{name} must have a value, got none") from None
    if stray and not positional:
        raise ValueError(
            f"arguments must be flags such as --name=value, got {stray[0]!r}; "
            "--help lists the flags"
        )
    given = {
        name: _parse(values[name].value, kind, name)
        for name, kind in kinds.items()
        if values[name].present
    }
    for name in positional:
        if typing.get_origin(kinds[name]) is tuple:
            given[name] = (*given.get(name, ()), *stray)
            stray = []
        elif stray and name not in given:
            given[name] = stray.pop(0)
    if stray:
        raise ValueError(
            f"arguments must be flags behind {' and '.join(positional)}, got "
            f"{stray[0]!r}; --help lists the flags"
        )
    return typing.cast(Config, settings.build_config(config_class, given))


def _parse(value: Any, kind: Any, name: str) -> Any:
    if typing.get_origin(kind) is tuple:
        words = value if isinstance(value, list) else value.split(",")
        found = tuple(word.strip() for word in words if word.strip())
        if not found:
            raise ValueError(f"--{name} must have a value, got none")
        return found
    return value if kind is bool else settings.parse_value(value, kind, f"--{name}")


def help_text(doc: str, config_class: type[Any]) -> str:
    """Return a binary's help: its docstring, the flags that matter, then groups."""
    front, groups = [], dict[str, list[str]]()
    for group, field, kind in settings.settings_of(config_class):
        line = _help_line(field, kind)
        if field.metadata["front"]:
            front.append(line)
        else:
            groups.setdefault(group, []).append(line)
    parts = [doc.strip(), "Flags that matter most:\n" + "\n".join(front)]
    for group, lines in groups.items():
        parts.append(f"{group.capitalize() or 'Other'}:\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _help_line(field: Any, kind: Any) -> str:
    default = field.default
    if isinstance(default, tuple):
        default = ",".join(default)
    name = f"--[no]{field.name}" if kind is bool else f"--{field.name}={default}"
    rules = field.metadata
    text = rules["help"]
    if rules["choices"]:
        text += " One of: " + ", ".join(rules["choices"]) + "."
    if rules["repeated"]:
        text += " May be given several times."
    body = textwrap.wrap(
        text, width=80, initial_indent=" " * 6, subsequent_indent=" " * 6
    )
    return "\n".join([f"  {name}", *body])
