"""The tracker interface: told what the run is told, and refused before any work where it cannot be."""

from typing import ClassVar, Literal

import numpy as np
import pytest
from small_run import SPEC, write_spec

from ulzoo.cli import main
from ulzoo.errors import InterfaceError, SpecError
from ulzoo.records import Record
from ulzoo.run import Run
from ulzoo.spec import Component, parse_spec, spec_hash
from ulzoo.stages import create_run
from ulzoo.trackers.base import Picture, TrackerIO, Trackers
from ulzoo.trackers.opening import check_trackers, open_trackers


class Listener:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple] = []

    def resume(self, stage, step):
        self.told.append(("resume", stage, step))

    def records(self, records):
        self.told += [("record", record) for record in records]

    def pictures(self, pictures):
        self.told += [("picture", picture.stage, picture.name, picture.image.shape) for picture in pictures]

    def close(self):
        self.told.append(("close",))


class ListenerConfig(Component):
    """A tracker of this test's own."""

    type: Literal["acme.listener.v1"] = "acme.listener.v1"
    broken: bool = False
    made: ClassVar[list[Listener]] = []
    ios: ClassVar[list[TrackerIO]] = []

    def build(self, io, *, key=None):
        if self.broken:
            raise InterfaceError("is broken", "broken")
        self.made.append(Listener())
        self.ios.append(io)
        return self.made[-1]


@pytest.fixture
def registry(builtin_registry):
    ListenerConfig.made.clear()
    return builtin_registry.with_local("tracker", ListenerConfig)


def spec_with(trackers, registry):
    return parse_spec(f"{SPEC}trackers: {trackers}\n", registry=registry)


def test_no_part_of_the_experiments_identity(registry):
    with_one, without = (spec_with(text, registry) for text in ("[{type: acme.listener.v1}]", "[]"))
    assert spec_hash(with_one) == spec_hash(without)


def test_what_the_run_is_told_trackers_are_told(tmp_path, registry):
    directory = tmp_path / "run"
    create_run(parse_spec(SPEC, registry=registry), directory).close()
    spec = spec_with("[{type: acme.listener.v1}]", registry)
    record = Record(50, "stage1", "stage1/train/loss", 1.0, "bits/pixel", {"steps": [1, 50]})
    with Run.open(directory, write=True) as run:
        run.track(open_trackers(spec, run.directory))
        run.truncate_after("stage1", 40)
        run.append(iter([record]))
        run.replace([record])
        run.show([Picture(50, "stage1", "stage1/samples", np.zeros((8, 8, 1), np.uint8))])
    (listener,) = ListenerConfig.made
    assert listener.told == [
        ("resume", "stage1", 40),
        ("record", record),
        ("record", record),
        ("picture", "stage1", "stage1/samples", (8, 8, 1)),
        ("close",),
    ]
    assert Run.open(directory).records()[-1] == record
    io = ListenerConfig.ios[-1]
    assert (io.directory, io.name, io.spec_hash) == (directory, "small", spec_hash(spec))
    assert io.spec["stage1"]["steps"] == 40


def test_one_that_cannot_be_made_closes_the_others(tmp_path, registry):
    spec = spec_with("[{type: acme.listener.v1}, {type: acme.listener.v1, broken: true}]", registry)
    with pytest.raises(SpecError, match=r"trackers.1.broken: acme.listener.v1 is broken"):
        open_trackers(spec, tmp_path)
    assert [listener.told for listener in ListenerConfig.made] == [[("close",)]]


def test_all_are_closed_whatever_one_does():
    first, last = Listener(), Listener()

    class Bad(Listener):
        def close(self):
            raise OSError("disk full")

    trackers = Trackers([first, Bad(), last])
    with pytest.raises(OSError, match="disk full"):
        trackers.close()
    trackers.close()
    assert first.told == last.told == [("close",)]


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_extra_is_told_with_its_place_before_any_work(tmp_path, capsys, monkeypatch, name, module):
    monkeypatch.setattr("ulzoo.trackers.base.find_spec", lambda name: None)
    path = write_spec(tmp_path, f"{SPEC}trackers: [{{type: ulzoo.{name}.v1}}]\n")
    out = tmp_path / "run"
    assert main(["run", str(path), "--out", str(out)]) == 2
    line = len(SPEC.splitlines()) + 1
    assert capsys.readouterr().err == (
        f"{path}:{line}:13: trackers.0.type: ulzoo.{name}.v1 needs {module}, which is not installed: "
        f"pip install 'ulzoo[{name}]'\n"
    )
    assert not out.exists()


def test_a_tracker_that_does_not_say_what_it_needs_is_not_asked(registry):
    check_trackers(spec_with("[{type: acme.listener.v1, broken: true}]", registry))
