"""The tutorial "your first plugin", from its first command to its last, as written."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from blocks import ROOT

from ulzoo import cli
from ulzoo.registry import Registry

PAGE = ROOT / "docs" / "tutorials" / "first-plugin.md"
BLOCK = re.compile(
    r"(?:^`(?P<path>patches/[^`]+)`\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```", re.M | re.S
)


class Reader:
    """Does what the page says, in a folder; installing is an entry in a folder on the path."""

    def __init__(self, folder: Path, site: Path, builtin: Path, monkeypatch) -> None:
        self.folder, self.site, self.builtin, self.monkeypatch = folder, site, builtin, monkeypatch
        self.told = ""
        self.monkeypatch.setattr(Registry, "discover", classmethod(lambda cls: self.registry()))

    def registry(self) -> Registry:
        return Registry([str(self.builtin), str(self.site)])

    def command(self, line: str) -> None:
        match shlex.split(line):
            case ["python", "-m", "pip", "install", "-e", folder]:
                self.install(self.folder / folder)
            case ["ulzoo", *arguments]:
                assert cli.main(arguments) == 0, line
            case ["pytest", *arguments]:
                self.told = self.pytest(arguments)
            case _:
                raise AssertionError(f"what does {line!r} mean?")

    def install(self, folder: Path) -> None:
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        info = self.site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        lines = []
        for group, entries in project["entry-points"].items():
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        self.monkeypatch.syspath_prepend(str(folder))

    def pytest(self, arguments: list[str]) -> str:
        path = os.pathsep.join(map(str, (self.site, self.folder / "patches")))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        done = subprocess.run(
            command,
            cwd=self.site,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.stdout

    def write(self, path: str, text: str) -> None:
        (self.folder / path).write_text(text)
        for name in [name for name in sys.modules if name.startswith("acme_patches")]:
            del sys.modules[name]
        importlib.invalidate_caches()


def test_the_tutorial_runs_as_written(tmp_path, builtin_registry_folder, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    site = tmp_path / "site"
    site.mkdir()
    reader = Reader(tmp_path, site, builtin_registry_folder, monkeypatch)
    try:
        for block in BLOCK.finditer(PAGE.read_text()):
            path, language, text = block["path"], block["language"], block["text"]
            if language == "sh":
                for line in text.splitlines():
                    reader.command(line)
            elif path:
                reader.write(path, text)
            elif language == "toml":
                assert text in (tmp_path / "patches" / "pyproject.toml").read_text()
            elif language == "text":
                assert text.strip() in reader.told
                assert "1 failed" in reader.told
            elif language == "diff":
                config = "patches/acme_patches/config.py"
                old, new = (line[1:] for line in text.splitlines())
                before = (tmp_path / config).read_text()
                assert before.count(f"{old}\n") == 1
                reader.write(config, before.replace(f"{old}\n", f"{new}\n"))
    finally:
        for name in [name for name in sys.modules if name.startswith("acme_patches")]:
            del sys.modules[name]
    assert "failed" not in reader.told
    assert "passed" in reader.told
    printed = capsys.readouterr().out
    assert "acme.patches.v1  (encoder, acme-patches 0.1.0, acme_patches.config:AcmePatchesConfig)" in printed
    assert (tmp_path / "first" / "checkpoints" / "stage1" / "step_00000050").is_dir()
    assert printed.count("specs/digits.yaml: ok") == 2


@pytest.mark.parametrize("path", ["module", "config"])
def test_its_files_are_formatted(path):
    text = next(b["text"] for b in BLOCK.finditer(PAGE.read_text()) if b["path"] and path in b["path"])
    assert max(map(len, text.splitlines())) <= 110
    compile(text, path, "exec")
