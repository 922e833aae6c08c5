"""`ulzoo report`, and what `ulzoo run` says of it."""

import subprocess
import sys

import pytest
from made_run import make_run
from small_run import finished_run

import ulzoo.report
import ulzoo.showing
from ulzoo.cli import main
from ulzoo.run import Run

LIGHT = """
import sys
from ulzoo.cli import main
status = main(sys.argv[1:])
assert not {name.partition(".")[0] for name in sys.modules} & {"jax", "jaxlib", "equinox", "orbax", "grain"}
sys.exit(status)
"""


def test_one_and_several_without_jax(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    one, two = make_run(tmp_path / "one"), make_run(tmp_path / "two", seed=1)
    for arguments, path in (([one], one / "report.html"), ([one, two], tmp_path / "comparison.html")):
        command = [sys.executable, "-c", LIGHT, "report", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("report: ")
        assert path.read_text().startswith("<!doctype html>")


def test_mistakes(tmp_path, capsys, monkeypatch):
    assert main(["report", str(tmp_path / "gone")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'gone'}: no such run directory\n"
    monkeypatch.setattr(ulzoo.report, "find_spec", lambda name: None)
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "a report needs jinja2 and matplotlib, not installed here\n    pip install 'ulzoo[report]'\n"
    )


def test_a_run_without_the_extra_says_so_in_one_line_and_goes_on(tmp_path, monkeypatch):
    directory = make_run(tmp_path / "run")
    monkeypatch.setattr(ulzoo.showing, "missing_packages", lambda: ("matplotlib",))
    said = []
    with Run.open(directory) as run:
        ulzoo.showing.report_on(run, said.append)
    assert said == [f"no report: it needs pip install 'ulzoo[report]'; then: ulzoo report {directory}"]


def test_a_page_that_cannot_be_written_is_told(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    directory = make_run(tmp_path / "run")
    (directory / "report.html").write_text("mine")
    said = []
    with Run.open(directory) as run:
        ulzoo.showing.report_on(run, said.append)
    assert said == [
        f"no report: {directory}/report.html: there is another file of this name; choose one with --out"
    ]


def test_a_real_run_has_all_of_it():
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    directory = finished_run().directory
    assert f"report: {directory / 'report.html'}" in finished_run().stdout.splitlines()
    text = (directory / "report.html").read_text()
    assert "What is missing here" not in text
    assert text.count("<dialog ") == 12
    for words in ("Bits by latent position", "Rate by noise level of the latent", "12 samples", "images/s"):
        assert words in text
