"""Arguments of commands that take or make clips."""

from __future__ import annotations

import argparse

from ulzoo.cli.arguments import add_checkpoint, add_format, add_run, positive, rate, scale, seed


def add_length(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--frames",
        type=positive,
        metavar="N",
        help="of each clip, by default as many as in training; more go on chunk by chunk; 1: images, of"
        " models trained on images beside clips",
    )
    parser.add_argument(
        "--overlap",
        type=positive,
        metavar="N",
        help="frames of one chunk that the next is given, where --frames needs several; by default as many as"
        " in training",
    )


def reconstruct_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("files", nargs="+", metavar="FILE", help="JPEG, PNG or WebP images; clips for video")
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help="of the noise (0)")
    add_checkpoint(parser)
    parser.add_argument("--label", type=int, metavar="K", help="class, for decoders that are told it")
    parser.add_argument("--fps", type=rate, metavar="N", help="of clips; by default as the data takes frames")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="files at their full length and size, in overlapping windows of the trained shape",
    )
    parser.add_argument(
        "--overlap",
        type=scale,
        default=0.5,
        metavar="SHARE",
        help="of a window of --whole that its neighbour repeats, below 1 (0.5)",
    )
    add_format(parser)
    parser.add_argument("--out", metavar="DIR", help="by default a new folder under RUN/reconstructions")


def predict_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "files",
        nargs="+",
        metavar="CLIP",
        help="GIF or WebP, or a picture to begin from; others with the extra video",
    )
    parser.add_argument(
        "--given", type=positive, metavar="N", help="frames that are given; by default as many as in training"
    )
    parser.add_argument(
        "--frames",
        type=positive,
        metavar="N",
        help="of the clip that is made; by default as many as in training",
    )
    parser.add_argument(
        "--overlap",
        type=positive,
        metavar="N",
        help="frames of one chunk that the next is given, where --frames needs several; by default --given",
    )
    parser.add_argument("--fps", type=rate, metavar="N", help="by default as the data takes frames")
    _completion(parser)


def interpolate_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("first", metavar="A", help="image of the first frame")
    parser.add_argument("last", metavar="B", help="image of the last frame")
    _completion(parser)


def _completion(parser: argparse.ArgumentParser) -> None:
    add_checkpoint(parser)
    parser.add_argument("--label", type=int, metavar="K", help="class, for base models that are told it")
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help="of the noise (0)")
    add_format(parser)
    parser.add_argument("--out", metavar="DIR", help="by default a new folder under RUN/predictions")
