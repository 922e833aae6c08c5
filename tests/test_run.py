import json
import math
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulzoo.cli import main
from ulzoo.errors import RunError
from ulzoo.records import MetricsFile, Record, parse_record, record_line
from ulzoo.run import Run

SPEC = "ulzoo: 1   # as typed\r\nname: é\n"
NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


def create(directory, **options) -> Run:
    arguments = {
        "name": "digits",
        "spec_text": SPEC,
        "resolved_text": "ulzoo: 1\n",
        "spec_hash": "abc",
        "components": {"ulzoo.vit.v1": "ulzoo 0.1.0"},
        "devices": ["cpu:0"],
        "command": ["ulzoo", "run", "specs/digits.yaml"],
        "now": NOON,
    }
    return Run.create(directory, **(arguments | options))


def record(step, value=1.0, stage="stage1", **options) -> Record:
    return Record(step, stage, f"{stage}/train/loss", value, "nats", **options)


# ---- the directory ---------------------------------------------------------------------------------


def test_what_create_writes_open_finds(tmp_path):
    with create(tmp_path / "a" / "b") as run:
        assert run.writable
    with Run.open(tmp_path / "a" / "b") as run:
        assert not run.writable
        assert run.spec_path.read_bytes() == SPEC.encode()
        assert run.resolved_path.read_text() == "ulzoo: 1\n"
        manifest = run.manifest()
        assert run.finished() == ()
        assert run.records() == []
        folders = [run.samples, run.checkpoints(1), run.checkpoints(2)]
        assert all(folder.is_dir() for folder in folders)
        assert [folder.name for folder in folders] == ["samples", "stage1", "stage2"]
    assert manifest["started"] == "2026-05-04T12:00:00+00:00"
    assert manifest["spec_hash"] == "abc"
    assert manifest["components"] == {"ulzoo.vit.v1": "ulzoo 0.1.0"}
    assert manifest["command"] == ["ulzoo", "run", "specs/digits.yaml"]
    assert manifest["hardware"]["devices"] == ["cpu:0"]
    assert manifest["python"] == ".".join(map(str, sys.version_info[:3]))
    import jax

    assert manifest["versions"]["jax"] == jax.__version__


def test_an_empty_directory_is_free(tmp_path):
    (tmp_path / "out").mkdir()
    create(tmp_path / "out").close()
    assert Run.open(tmp_path / "out").manifest()["spec_hash"] == "abc"


def test_a_run_is_never_overwritten(tmp_path):
    create(tmp_path / "a").close()
    before = sorted(path.name for path in (tmp_path / "a").iterdir())
    with pytest.raises(RunError) as caught:
        create(tmp_path / "a", spec_text="other")
    assert str(caught.value) == (
        f"{tmp_path / 'a'}: there is a run in this directory already\n"
        f"    continue it with --resume {tmp_path / 'a'}, or choose another directory with --out"
    )
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == before
    assert (tmp_path / "a" / "spec.yaml").read_bytes() == SPEC.encode()


def test_other_peoples_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="is not empty\n    choose another directory with --out"):
        create(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="cannot make a run directory"):
        create(tmp_path / "file" / "a")
    with pytest.raises(RunError, match="cannot make a run directory"):
        create(tmp_path / "file")


def test_default_directories_are_dated_and_unique(tmp_path):
    names = []
    for _ in range(3):
        with create(None, root=tmp_path / "runs", name="my spec/é v2!") as run:
            names.append(run.directory.name)
    stem = NOON.astimezone().strftime("%Y%m%d-%H%M%S") + "-my-spec-v2"
    assert names == [stem, f"{stem}-2", f"{stem}-3"]


def test_open_says_what_is_missing(tmp_path):
    with pytest.raises(RunError, match="no such run directory"):
        Run.open(tmp_path / "absent")
    with pytest.raises(
        RunError, match=r"not a run directory: spec\.yaml, resolved\.yaml, manifest\.json missing"
    ):
        Run.open(tmp_path)
    create(tmp_path / "a").close()
    (tmp_path / "a" / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"manifest\.json missing"):
        Run.open(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, content) for name in ("manifest.json", "status.json") for content in ("", "{", "[1]", "\x00")]
    + [("status.json", '{"finished": 3}'), ("status.json", '{"finished": [1]}')],
)
def test_damaged_files_are_named(tmp_path, name, content):
    create(tmp_path / "a").close()
    (tmp_path / "a" / name).write_text(content)
    with pytest.raises(RunError, match=f"{name}: damaged"):
        Run.open(tmp_path / "a", write=True)
    # The lock is given back.
    (tmp_path / "a" / name).write_text('{"finished": []}')
    Run.open(tmp_path / "a", write=True).close()


# ---- the lock --------------------------------------------------------------------------------------

HOLDER = textwrap.dedent("""
    import sys
    from ulzoo.run import Run
    run = Run.open(sys.argv[1], write=True)
    print("open", flush=True)
    sys.stdin.read()
""")


def test_a_second_process_may_read_and_not_write(tmp_path):
    create(tmp_path / "a").close()
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(
            RunError,
            match=rf"in use by another process \(process id {holder.pid} on {socket.gethostname()}\)",
        ):
            Run.open(tmp_path / "a", write=True)
        with pytest.raises(RunError, match="in use by another process"):
            create(tmp_path / "a")
        Run.open(tmp_path / "a").close()
        holder.send_signal(signal.SIGKILL)
    # A lock dies with its process.
    with Run.open(tmp_path / "a", write=True) as run:
        run.append([record(1)])


@pytest.mark.parametrize(
    "command", [("run", "--resume", "RUN"), ("train", "RUN", "--stage", "2"), ("evaluate", "RUN")]
)
def test_commands_that_write_are_refused_beside_one_that_does(tmp_path, capsys, command):
    directory = str(tmp_path / "a")
    with create(directory):
        assert main([directory if word == "RUN" else word for word in command]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{directory}: in use by another process (process id {os.getpid()} on ")
        assert "reading needs no lock: sample, reconstruct, report" in error
        assert main(["run", "spec.yaml", "--out", directory]) == 2
        assert "there is a run in this directory already" in capsys.readouterr().err
        # Those that read come as far as the spec, which here is none.
        for reading in (["sample", directory], ["replay", directory]):
            assert main(reading) == 2
            assert "in use" not in capsys.readouterr().err


def test_two_writers_in_one_process_are_refused_too(tmp_path):
    with create(tmp_path / "a") as run, pytest.raises(RunError, match="in use"):
        Run.open(tmp_path / "a", write=True)
    assert not run.writable
    Run.open(tmp_path / "a", write=True).close()


def test_readers_write_nothing(tmp_path):
    create(tmp_path / "a").close()
    with Run.open(tmp_path / "a") as run:
        for write in (
            lambda: run.append([record(1)]),
            lambda: run.truncate_after("stage1", 0),
            lambda: run.mark_finished("stage1"),
        ):
            with pytest.raises(RunError, match="reading only"):
                write()


# ---- status ----------------------------------------------------------------------------------------


def test_finished_parts_are_kept_in_order(tmp_path):
    with create(tmp_path / "a") as run:
        for part in ("stage1", "stage2", "stage1"):
            run.mark_finished(part)
    assert Run.open(tmp_path / "a").finished() == ("stage1", "stage2")
    # Nothing temporary is left behind.
    assert sorted(path.name for path in (tmp_path / "a").iterdir() if path.is_file()) == [
        ".lock",
        "manifest.json",
        "resolved.yaml",
        "spec.yaml",
        "status.json",
    ]


# ---- metrics ---------------------------------------------------------------------------------------

TEXT = st.text(max_size=8)
NUMBERS = st.floats(allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT, lambda inner: st.lists(inner, max_size=3)
)
RECORDS = st.builds(
    Record,
    step=st.integers(0, 10**9),
    stage=TEXT,
    name=TEXT,
    value=NUMBERS,
    unit=TEXT,
    protocol=st.dictionaries(TEXT, JSON, max_size=3),
    interval=st.none() | st.tuples(NUMBERS, NUMBERS),
)


@given(RECORDS)
def test_a_record_is_one_line_of_strict_json(original):
    line = record_line(original)
    assert line.endswith("\n")
    assert line.count("\n") == 1

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    json.loads(line, parse_constant=refuse)
    assert parse_record(line) == original


def test_not_a_number_survives():
    assert math.isnan(parse_record(record_line(record(1, float("nan")))).value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"step": 1.5}, "step must be a whole number, got 1.5"),
        ({"step": True}, "step must be a whole number"),
        ({"value": "3"}, "not a number: '3'"),
        ({"value": None}, "not a number: None"),
        ({"value": [1]}, "not a number"),
        ({"unit": 3}, "must be text"),
        ({"protocol": []}, "must be text and protocol a table"),
        ({"interval": [1]}, "interval must be two numbers"),
        ({"more": 1}, r"unknown entries \['more'\]"),
    ],
)
def test_lines_that_are_no_records(change, text):
    line = json.dumps(json.loads(record_line(record(1))) | change)
    with pytest.raises(ValueError, match=text):
        parse_record(line)
    with pytest.raises(ValueError, match="no 'step'"):
        parse_record("{}")
    with pytest.raises(ValueError, match="not a table"):
        parse_record("[]")


def test_metrics_are_there_at_once_and_after_reopening(tmp_path):
    first, second = record(1, interval=(0.5, 1.5)), record(2, protocol={"data": "digits", "n": 10})
    with create(tmp_path / "a") as run:
        run.append([first])
        # Flushed: another reader sees it while the file is open.
        assert Run.open(tmp_path / "a").records() == [first]
        run.append([second])
    with Run.open(tmp_path / "a", write=True) as run:
        run.append([record(3)])
        assert run.records() == [first, second, record(3)]


def test_resuming_forgets_later_records_of_its_stage_only(tmp_path):
    with create(tmp_path / "a") as run:
        run.append([record(step) for step in (10, 20, 30)])
        run.append([record(5, stage="stage2"), record(50, stage="stage2")])
        run.truncate_after("stage1", 20)
        run.append([record(30, 7.0)])
        steps = [(each.stage, each.step) for each in run.records()]
    assert steps == [("stage1", 10), ("stage1", 20), ("stage2", 5), ("stage2", 50), ("stage1", 30)]


@given(cut=st.integers(0, 400))
def test_a_line_that_was_cut_short_is_dropped_wherever_it_was_cut(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("metrics") / "metrics.jsonl"
    lines = [record_line(Record(step, "stage1", "é", 1.0, "µ")).encode() for step in range(3)]
    content = b"".join(lines)[:cut]
    path.write_bytes(content)
    whole = content.count(b"\n")
    expected = [parse_record(line.decode()) for line in lines[:whole]]
    assert MetricsFile(path).records() == expected
    metrics = MetricsFile(path)
    metrics.append([record(9)])
    metrics.close()
    assert MetricsFile(path).records() == [*expected, record(9)]
    path.write_bytes(content)
    MetricsFile(path).truncate_after("stage1", 99)
    assert path.read_bytes() == b"".join(lines[:whole])


def test_a_disk_that_is_full_is_told_and_what_was_written_stays(tmp_path):
    first = record(1)
    with create(tmp_path / "a") as run:
        run.append([first])
        path, before = run.directory / "metrics.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            # Files cannot grow: half a line at most finds room.
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, before[1]))
            with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be written: File too large"):
                run.append([record(2)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        run.append([record(3)])
        assert run.records() == [first, record(3)]


def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(tmp_path):
    with create(tmp_path / "a") as run:
        run.append([record(1), record(2)])
        path = run.directory / "metrics.jsonl"
        run.close()
    content = path.read_bytes().replace(b'"step": 2', b'"stop": 2')
    path.write_bytes(content)
    with Run.open(tmp_path / "a", write=True) as run:
        with pytest.raises(RunError, match=r"metrics\.jsonl:2: not a record: no 'step'"):
            run.records()
        with pytest.raises(RunError, match=r"metrics\.jsonl:2"):
            run.truncate_after("stage1", 0)
    assert path.read_bytes() == content


def test_a_run_directory_needs_no_jax(tmp_path):
    script = textwrap.dedent("""
        import sys
        from ulzoo.run import Run
        Run.create(sys.argv[1], name="a", spec_text="", resolved_text="", spec_hash="", components={}).close()
        assert not {"jax", "numpy"} & set(sys.modules), "imported"
    """)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
