"""A tutorial done as its page says: files are written, commands are given, in the order of the page."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ulzoo import cli

_BLOCK = re.compile(r"(?:^`(?P<path>[\w.]+)`\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```", re.M | re.S)


def file_on(page: str, path: str) -> str:
    """What the page tells to write into a file."""
    return next(block["text"] for block in _BLOCK.finditer(page) if block["path"] == path)


def follow(
    page: str,
    capsys: pytest.CaptureFixture[str],
    *,
    least: Callable[[str], str] | None,
    instead: Callable[[list[str]], bool],
) -> dict[str, str]:
    """Do in the working directory what a page says; what each command printed.

    Args:
        least: what to make of specs; None: as written, and then no rule may warn of them.
        instead: is given the words of each command, and whether it has done what stands in for it.
    """
    told = {}
    for block in _BLOCK.finditer(page):
        if block["path"]:
            small = block["language"] == "yaml" and least is not None
            Path(block["path"]).write_text(least(block["text"]) if small else block["text"])
            continue
        for line in block["text"].splitlines():
            words = shlex.split(line)
            if not instead(words):
                match words:
                    case ["python", *arguments]:
                        subprocess.run([sys.executable, *arguments], check=True, timeout=60)
                    case ["ulzoo", *arguments]:
                        assert cli.main(arguments) == 0, line
            captured = capsys.readouterr()
            told[line] = captured.out
            assert least is not None or "warning UL" not in captured.err, line
    return told
