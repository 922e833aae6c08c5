"""The command line. Parsing loads no JAX; each command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
from collections.abc import Sequence

from ulzoo.cli.interruption import Terminated, termination_as_interruption
from ulzoo.cli.reporting import report
from ulzoo.errors import UlzooError

_COMMANDS = {
    "run": "train both stages of a spec, measure, and draw samples",
    "train": "train one stage, of a spec or of a run",
    "evaluate": "measure a run's metrics",
    "sample": "draw samples from a run",
    "reconstruct": "put image files through a run's latent",
    "check": "check specs down to shapes; print parameters and FLOPs",
    "components": "list what is installed, or describe one component",
}


_COMPILING = ("run", "train", "evaluate", "sample", "reconstruct")
_ENVIRONMENT = """\
environment:
  JAX_PLATFORMS                 where to compute, such as cpu or cuda; by default the fastest there is
  JAX_COMPILATION_CACHE_DIR     where compiled programs are kept between commands;
                                by default ulzoo/xla in $XDG_CACHE_HOME or ~/.cache, for a month
  JAX_ENABLE_COMPILATION_CACHE  0: keep none
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0: done. 2: a mistake that the message says how to mend. 130 and 143: interrupted by hand (SIGINT) and by
    the system (SIGTERM). Anything else that goes wrong is a bug and keeps its traceback.
    """
    arguments = _parser().parse_args(argv)
    # Orbax, Grain and absl write notes for their own developers.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    if arguments.command in _COMPILING:
        from ulzoo.cli.compilation_cache import use_compilation_cache

        use_compilation_cache(os.environ)
    try:
        with termination_as_interruption():
            return importlib.import_module(f"ulzoo.cli.{arguments.command}_command").run(arguments) or 0
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ulzoo",
        description="Unified Latents (arXiv 2602.17270): diffusion-regularised latents from a spec.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    parsers = {
        name: commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        for name, text in _COMMANDS.items()
    }

    run = parsers["run"]
    run.add_argument("spec", nargs="?", metavar="SPEC", help="YAML file; not needed with --resume")
    run.add_argument("--resume", metavar="DIR", help="continue the run in this directory")
    _out(run)
    _set(run)

    train = parsers["train"]
    train.add_argument("target", metavar="SPEC|RUN", help="YAML file (makes a new run), or a run directory")
    train.add_argument("--stage", type=int, choices=(1, 2), required=True)
    _out(train)
    _set(train)

    evaluate = parsers["evaluate"]
    _run(evaluate)
    evaluate.add_argument(
        "--stage", type=int, choices=(1, 2), help="only this stage; by default all trained ones"
    )

    sample = parsers["sample"]
    _run(sample)
    sample.add_argument("-n", "--count", type=_positive, default=16, metavar="N", help="how many (16)")
    sample.add_argument("--label", type=int, metavar="K", help="class of all of them; by default all in turn")
    sample.add_argument("--seed", type=_natural, metavar="S", help="by default the spec's")
    sample.add_argument(
        "--sampler", metavar="NAME", help="such as ddim or ulzoo.ddim.v1; by default the spec's"
    )
    sample.add_argument("--steps", type=_positive, metavar="N", help="steps of the base model's sampler")
    sample.add_argument("--decoder-steps", type=_positive, metavar="N", help="steps of the decoder's sampler")
    sample.add_argument("--guidance", type=_scale, metavar="W", help="scale of classifier-free guidance")
    sample.add_argument("--out", metavar="DIR", help="by default a new folder under RUN/samples")

    reconstruct = parsers["reconstruct"]
    _run(reconstruct)
    reconstruct.add_argument("files", nargs="+", metavar="FILE", help="JPEG, PNG or WebP images")
    reconstruct.add_argument("--seed", type=_natural, default=0, metavar="S", help="of the noise (0)")
    reconstruct.add_argument("--out", metavar="DIR", help="by default a new folder under RUN/reconstructions")

    check = parsers["check"]
    check.add_argument("specs", nargs="+", metavar="SPEC", help="YAML files")
    _set(check)

    components = parsers["components"]
    components.add_argument("name", nargs="?", metavar="NAME", help="describe this one, such as ulzoo.vit.v1")
    return parser


class _Version(argparse.Action):
    """Reads the version when it is printed: the lookup costs more than the rest of `--help`."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *ignored: object) -> None:
        from importlib.metadata import version

        print(f"ulzoo {version('ulzoo')}")
        parser.exit()


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="RUN", help="a run directory")


def _out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", help="run directory to make; by default a dated one under runs/"
    )


def _set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=VALUE",
        dest="overrides",
        help="override a value of the spec; typed like YAML; may be repeated",
    )


def _positive(text: str) -> int:
    value = _natural(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def _natural(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return value


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
    if not (0.0 <= value < math.inf):
        raise argparse.ArgumentTypeError(f"must be finite and not negative, got {text}")
    return value
