"""The tutorial "first run": each of its commands, with a model of the least size."""

from __future__ import annotations

import shlex
import shutil

from blocks import ROOT, TINY, blocks

from ulzoo import cli


def test_its_commands_do_what_it_says(tmp_path, monkeypatch, capsys):
    """As written, but for the size of what is trained."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    shutil.copy(ROOT / "specs" / "digits.yaml", tmp_path / "specs")
    least = [value for value in TINY if not value.startswith("prior.")]
    least.append("prior={type: ulzoo.normal_prior.v1}")
    smaller = [part for value in least for part in ("--set", value)]
    done = []
    for block in blocks("docs/tutorials/first-run.md", "sh"):
        for line in block.splitlines():
            program, command, *arguments = shlex.split(line, comments=True)
            assert program == "ulzoo"
            trains = command in ("run", "train")
            assert cli.main([command, *arguments, *(smaller if trains else [])]) == 0, line
            done.append(command)
    assert done == ["check", "run", "sample", "train", "report"]
    assert (tmp_path / "runs" / "first" / "report.html").is_file()
    assert len(list((tmp_path / "runs" / "first" / "samples" / "0001").glob("*-class7.png"))) == 20
    assert (tmp_path / "comparison.html").is_file()
    assert "upper bound" not in capsys.readouterr().err
