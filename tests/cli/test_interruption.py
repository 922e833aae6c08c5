"""A run that is interrupted says how to go on; what it then goes on to is in test_resume."""

import signal

import pytest
from small_run import write_spec

from ulzoo.cli import main
from ulzoo.cli.interruption import resumable


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_with_advice(monkeypatch, capsys, tmp_path, number, status):
    def interrupted(arguments):
        with resumable(tmp_path / "a run", "run", "--resume", "RUN"):
            signal.raise_signal(number)

    monkeypatch.setattr("ulzoo.cli.run_command.run", interrupted)
    assert main(["run"]) == status
    advice = f"interrupted\n    continue with: ulzoo run --resume '{tmp_path / 'a run'}'\n"
    assert capsys.readouterr().err == advice


def test_a_grace_that_is_no_time_is_told_at_once(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("ULZOO_GRACE_SECONDS", "soon")
    assert main(["run", str(write_spec(tmp_path)), "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == (
        "ULZOO_GRACE_SECONDS: must be a number of seconds above 0, got 'soon'\n"
    )
    assert not (tmp_path / "run").exists()


def test_the_command_that_goes_on_is_the_one_that_began():
    with pytest.raises(KeyboardInterrupt) as caught, resumable("here", "train", "RUN", "--stage", "2"):
        raise KeyboardInterrupt
    assert caught.value.__notes__ == ["continue with: ulzoo train here --stage 2"]
