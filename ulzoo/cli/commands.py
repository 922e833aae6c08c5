"""The commands: what each does and takes. Each one's work is in a module of its own, loaded when it runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from ulzoo.cli.arguments import (
    add_checkpoint,
    add_format,
    add_out,
    add_run,
    add_set,
    natural,
    positive,
    scale,
    seed,
)
from ulzoo.cli.clip_arguments import (
    add_length,
    interpolate_arguments,
    predict_arguments,
    reconstruct_arguments,
)
from ulzoo.cli.together import add_processes


@dataclass(frozen=True)
class Command:
    """A line of `ulzoo --help`.

    Attributes:
        text: what it does.
        arguments: adds its arguments to its parser.
        compiles: whether it runs compiled programs, which are then kept between commands.
    """

    text: str
    arguments: Callable[[argparse.ArgumentParser], None]
    compiles: bool = False


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", nargs="?", metavar="SPEC", help="YAML file; not needed with --resume")
    parser.add_argument("--resume", metavar="DIR", help="continue the run in this directory")
    add_out(parser)
    add_set(parser)
    add_processes(parser)


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="SPEC|RUN", help="YAML file (makes a new run), or a run directory")
    parser.add_argument("--stage", type=int, choices=(1, 2), required=True, help="which of the two; required")
    add_out(parser)
    add_set(parser)
    add_processes(parser)


def _evaluate(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--stage", type=int, choices=(1, 2), help="only this stage; by default all trained ones"
    )
    add_checkpoint(parser)


def _sample(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("-n", "--count", type=positive, default=16, metavar="N", help="how many (16)")
    parser.add_argument("--label", type=int, metavar="K", help="class of all of them; by default all in turn")
    parser.add_argument("--seed", type=seed, metavar="S", help="by default the spec's")
    parser.add_argument(
        "--sampler", metavar="NAME", help="such as ddim or ulzoo.ddim.v1; by default the spec's"
    )
    parser.add_argument("--steps", type=positive, metavar="N", help="steps of the base model's sampler")
    parser.add_argument("--decoder-steps", type=positive, metavar="N", help="steps of the decoder's sampler")
    parser.add_argument("--starts", choices=("independent", "sobol"), help="by default the spec's")
    parser.add_argument("--guidance", type=scale, metavar="W", help="scale of classifier-free guidance")
    add_length(parser)
    add_checkpoint(parser)
    add_format(parser)
    parser.add_argument("--out", metavar="DIR", help="by default a new folder under RUN/samples")


def _encode(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "data", metavar="DATA", help="train or heldout: the run's own data; or as IN of `data prepare`"
    )
    parser.add_argument("out", metavar="OUT", help="folder to make")
    parser.add_argument("--shards", type=positive, default=1, metavar="N", help="files (1)")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="of the numbers on disk (float32)"
    )
    parser.add_argument("--flip", action="store_true", help="also of the mirrored pictures")
    parser.add_argument(
        "--draws", type=natural, default=0, metavar="N", help="of N random draws instead, for random crops"
    )
    parser.add_argument("--batch-size", type=positive, default=64, metavar="N", help="encoded at once (64)")
    parser.add_argument("--threads", type=positive, default=2, metavar="N", help="readers (2)")


def _export(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("out", metavar="OUT", help="a file, or for stablehlo a folder, to make")
    parser.add_argument(
        "--format",
        choices=("safetensors", "stablehlo"),
        default="safetensors",
        help="averaged weights, or encode, decode and sample as programs (safetensors)",
    )
    parser.add_argument(
        "--separate-weights", action="store_true", help="stablehlo: weights beside the programs, not inside"
    )


def _import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="safetensors file that `ulzoo export` wrote")
    add_out(parser)


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directories", nargs="+", metavar="RUN", help="a run directory; several are shown beside each other"
    )
    parser.add_argument(
        "-o", "--out", metavar="FILE", help="by default RUN/report.html, for several runs comparison.html"
    )


def _compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directories", nargs="+", metavar="RUN", help="two run directories or more")
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        dest="metrics",
        help="only this number, such as fid or stage2/train/fid; it must be comparable; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("specs", nargs="+", metavar="SPEC", help="YAML files")
    parser.add_argument(
        "--explain", action="store_true", help="the whole pipeline, and the reasons of warnings"
    )
    parser.add_argument("--strict", action="store_true", help="warnings are mistakes too")
    add_set(parser)


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("specs", nargs="+", metavar="SPEC", help="YAML files")
    parser.add_argument("--devices", type=positive, metavar="N", help="how many (1)")
    parser.add_argument(
        "--accelerator", metavar="NAME", help="what they are, such as tpu-v5e or h100: gives time and verdict"
    )
    parser.add_argument(
        "--utilisation", type=scale, default=0.4, metavar="F", help="share of the peak rate reached (0.4)"
    )
    parser.add_argument("--price", type=scale, metavar="P", help="of an accelerator for an hour: gives costs")
    parser.add_argument(
        "--examples", type=positive, metavar="N", help="in the dataset, for a latent cache's size"
    )
    parser.add_argument(
        "--compile", action="store_true", help="memory as the compiler here plans it, not an estimate"
    )
    parser.add_argument(
        "--topology", metavar="NAME", help="compile for these TPUs, such as v5e:16x16, which need not be here"
    )
    parser.add_argument(
        "--tpu-env", metavar="DIR", help="folder with libtpu for --topology; made if it is not there"
    )
    parser.add_argument("--stage", type=int, choices=(1, 2), help="the one to compile for --topology")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_set(parser)


def _verify_resume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help="YAML file")
    parser.add_argument("--stage", type=int, choices=(1, 2), help="only this stage; by default all")
    parser.add_argument("--steps", type=positive, default=8, metavar="N", help="steps, 2 or more (8)")
    add_set(parser)


def _replay(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--stage", type=int, choices=(1, 2), help="whose black box; by default the latest")
    parser.add_argument("--step", type=positive, metavar="N", help="of which step; by default the latest")


def _sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help="YAML file")
    parser.add_argument(
        "--set",
        action="append",
        required=True,
        metavar="A.B=V,V",
        dest="overrides",
        help="values of a setting, parted by commas; may be repeated, for every combination; required",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="of the sweep, new or to be continued; by default sweeps/ and SPEC's name",
    )
    parser.add_argument("--stage", type=int, choices=(1,), help="stage 1 alone; by default all the spec has")


def _study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="YAML file of a study")
    parser.add_argument("--out", metavar="DIR", help="of the runs, new or to be continued")
    parser.add_argument("--pages", metavar="DIR", help="where the page goes; by default into --out")
    parser.add_argument("--check", action="store_true", help="check all variants down to shapes, run none")


def _bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help="YAML file")
    parser.add_argument("--stage", type=int, choices=(1, 2), help="only this stage; by default all")
    parser.add_argument("--steps", type=positive, default=50, metavar="N", help="timed steps (50)")
    parser.add_argument(
        "-o", "--out", metavar="FILE", help="by default bench-SPEC-HARDWARE.json here, with their names"
    )
    add_set(parser)


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help="YAML file, or a run directory")
    add_set(parser)


def _diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="A", help="YAML file, or a run directory")
    parser.add_argument("new", metavar="B", help="YAML file, or a run directory")


def _schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--out", metavar="FILE", help="where to; by default standard output")


def _components(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="describe this one, such as ulzoo.vit.v1")
    parser.add_argument(
        "--load", action="store_true", help="import them all, to see also those that break only then"
    )


def _plugin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("new",), help="write the skeleton of a distribution")
    parser.add_argument("name", metavar="NAME", help="of the component, such as acme.patches.v1")
    parser.add_argument("directory", metavar="DIR", help="folder to make")
    parser.add_argument(
        "--kind", required=True, metavar="KIND", help="such as encoder, network or dataset; required"
    )


def _data(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="prepare or check")
    texts = {
        "prepare": "write pictures as ArrayRecord shards; given again, goes on where it was interrupted",
        "check": "read every picture and report what is damaged, tiny or unusual; exit status 1 if damaged",
    }
    made = {name: actions.add_parser(name, help=text, description=text) for name, text in texts.items()}
    where = "path or address of a folder, .zip, .tar, .array_record or .parquet; or {type: …, root: …}"
    for name, action in made.items():
        action.add_argument("source", metavar="IN" if name == "prepare" else "SOURCE", help=where)
    prepare, check = made["prepare"], made["check"]
    prepare.add_argument("out", metavar="OUT", help="folder to make")
    prepare.add_argument("--shards", type=positive, required=True, metavar="N", help="files; required")
    prepare.add_argument(
        "--size", type=positive, metavar="S", help="pixels of the shorter side of what is larger"
    )
    prepare.add_argument("--licence", metavar="TEXT", help="kept in the manifest; @FILE: what a file says")
    prepare.add_argument(
        "--corrupt",
        choices=("error", "skip"),
        default="error",
        help="stop at a damaged record, or leave it out",
    )
    check.add_argument("--tiny", type=positive, default=32, metavar="S", help="report sides below S (32)")
    check.add_argument("--out", metavar="DIR", help="where check.json, sha256.txt and contact-sheet.png go")
    check.add_argument(
        "--against",
        metavar="LIST",
        help="an earlier sha256.txt, or its folder; what has changed since is named",
    )
    for action in made.values():
        action.add_argument(
            "--max-pixels",
            type=positive,
            metavar="N",
            help="width times height above which a picture counts as damaged (89478485)",
        )
        action.add_argument(
            "--labels", choices=("yes", "no"), help="classes must be there, or are not looked at"
        )
        action.add_argument("--threads", type=positive, default=2, metavar="N", help="readers (2)")


def _weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "get"), help="list what is known, or fetch one of it")
    parser.add_argument("name", nargs="?", metavar="NAME", help="such as inception; for get")
    parser.add_argument("--out", metavar="DIR", help="by default ulzoo/weights in the user's cache")
    parser.add_argument("--url", metavar="URL", help="a mirror; by default where the file is published")


COMMANDS = {
    "run": Command("train both stages of a spec, measure, and draw samples", _run, compiles=True),
    "train": Command("train one stage, of a spec or of a run", _train, compiles=True),
    "evaluate": Command("measure a run's metrics", _evaluate, compiles=True),
    "sample": Command("draw samples from a run", _sample, compiles=True),
    "reconstruct": Command("put image files through a run's latent", reconstruct_arguments, compiles=True),
    "predict": Command("go on from the first frames of clips", predict_arguments, compiles=True),
    "interpolate": Command("make the frames between two images", interpolate_arguments, compiles=True),
    "sweep": Command(
        "run every combination of some settings, and draw them side by side", _sweep, compiles=True
    ),
    "study": Command("run variants of a spec, and say which claims they agree with", _study, compiles=True),
    "encode": Command("write the latents of a run's data to disk, for stage 2", _encode, compiles=True),
    "export": Command("write a run's weights, or its functions, for other programs", _export),
    "import": Command("make a run directory of exported weights", _import),
    "report": Command("write a page on a run, or on several beside each other", _report),
    "compare": Command("put numbers of runs side by side, where they were measured alike", _compare),
    "check": Command("check specs down to shapes; print parameters, FLOPs and warnings", _check),
    "plan": Command(
        "say what specs cost on given hardware: memory, FLOPs, files, time", _plan, compiles=True
    ),
    "show": Command("print a spec with every default, and where each value comes from", _show),
    "diff": Command("say what two specs or runs differ in, grouped by what it means", _diff),
    "verify-resume": Command(
        "train a few steps straight and with a restart, and compare bit by bit", _verify_resume, compiles=True
    ),
    "replay": Command(
        "play the step again at which a run's loss or gradient was not finite, and say where it began",
        _replay,
        compiles=True,
    ),
    "bench": Command("time the steps of a spec, and how long it takes to start", _bench),
    "schema": Command("write a JSON Schema of everything installed, for editors", _schema),
    "components": Command("list what is installed, or describe one component", _components),
    "data": Command("prepare pictures as shards, or check what is in them", _data),
    "weights": Command("list public weights for metrics, or fetch one; else no network is used", _weights),
    "plugin": Command("write a distribution with a component of your own, to be changed", _plugin),
}
"""Name → command; `ulzoo.cli.<name>_command`, with _ for -, has its `run(arguments)`."""
