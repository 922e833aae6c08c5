"""The command line. Parsing loads no JAX; each command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from ulzoo.cli.commands import COMMANDS
from ulzoo.cli.interruption import termination_as_interruption
from ulzoo.cli.reporting import report
from ulzoo.errors import UlzooError
from ulzoo.stopping import DEFAULT_GRACE, GRACE_VARIABLE, Terminated, grace_seconds

_ENVIRONMENT = f"""\
environment:
  JAX_PLATFORMS                 where to compute, such as cpu or cuda; by default the fastest there is
  JAX_COMPILATION_CACHE_DIR     where compiled programs are kept between commands;
                                by default ulzoo/xla in $XDG_CACHE_HOME or ~/.cache, for a month
  JAX_ENABLE_COMPILATION_CACHE  0: keep none
  MALLOC_…, GLIBC_TUNABLES      what you tell glibc's allocator; by default it keeps, on CPU, what steps free
  ULZOO_COORDINATOR, ULZOO_PROCESSES, ULZOO_PROCESS
                                as --coordinator, --processes and --process
  ULZOO_DISTRIBUTED             1: as --distributed; 0: this process is by itself, whoever launched it
  ULZOO_PEER_SECONDS            how long several processes wait for each other to appear; by default 120
  {GRACE_VARIABLE}           how long training may take to save after SIGTERM or SIGINT;
                                by default {DEFAULT_GRACE:g}
"""


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What only ever is wrong with a disk, never with the program."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0: done. 1: resuming is not exact (`verify-resume`), the step is finite this time (`replay`), or data is
    damaged (`data check`). 2: a mistake that the message says how to mend. 130 and 143: interrupted by hand
    (SIGINT) and by the system (SIGTERM). Anything else that goes wrong is a bug and keeps its traceback.
    """
    arguments = _parser().parse_args(argv)
    # Orbax, Grain and absl write notes for their own developers.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    if COMMANDS[arguments.command].compiles:
        from ulzoo.allocation import collect_rarely, keep_memory
        from ulzoo.cli.compilation_cache import use_compilation_cache

        use_compilation_cache(os.environ)
        keep_memory(os.environ)
        collect_rarely()
    try:
        status = _command(arguments)
    except BaseException:
        if _several():
            traceback.print_exc()
            _leave(1)
        raise
    if status and _several():
        _leave(status)
    return status


def _command(arguments: argparse.Namespace) -> int:
    """Runs a command; returns the exit status."""
    try:
        if COMMANDS[arguments.command].compiles:
            grace_seconds(os.environ)
        with termination_as_interruption():
            module = f"ulzoo.cli.{arguments.command.replace('-', '_')}_command"
            return importlib.import_module(module).run(arguments) or 0
    except UlzooError as error:
        report(error)
        return 2
    except KeyboardInterrupt as interruption:
        notes = getattr(interruption, "__notes__", ())
        print("\n".join(["interrupted", *(f"    {note}" for note in notes)]), file=sys.stderr, flush=True)
        return 143 if isinstance(interruption, Terminated) else 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing to report, and nobody to report it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _DISK:
            raise
        where = error.filename or "a file"
        report(
            UlzooError(
                f"{where}: cannot be written: {error.strerror}\n    make room, and go on with --resume"
            )
        )
        return 2


def _several() -> bool:
    """Whether other processes do this command together with this one; known without loading JAX."""
    module = sys.modules.get("ulzoo.parallel.processes")
    return module is not None and module.several()


def _leave(status: int) -> None:
    from ulzoo.parallel.processes import leave

    leave(status)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ulzoo",
        description="Unified Latents (arXiv 2602.17270): diffusion-regularised latents from a spec.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        text = command.text
        command.arguments(commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + "."))
    return parser


class _Parser(argparse.ArgumentParser):
    """Answers a mistyped choice with the nearest one, as a mistyped field of a spec is."""

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            near = difflib.get_close_matches(found[1], re.findall(r"[\w-]+", found[2]), 1, 0.6)
            if near:
                message = message.replace(" (choose", f"; did you mean '{near[0]}'? (choose", 1)
        super().error(message)


class _Version(argparse.Action):
    """Reads the version when it is printed: the lookup costs more than the rest of `--help`."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *ignored: object) -> None:
        from importlib.metadata import version

        print(f"ulzoo {version('ulzoo')}")
        parser.exit()
