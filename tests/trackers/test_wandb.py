"""Weights & Biases, for real and offline: what it wrote is read back from its own file."""

import json
import struct
import time

import numpy as np
import pytest

from ulzoo.records import Record
from ulzoo.trackers.base import Picture, TrackerIO
from ulzoo.trackers.wandb import WandbConfig

pytest.importorskip("wandb", reason="the extra `wandb` is not installed")


def entries(path):
    """Protocol buffers in a file of wandb's: LevelDB's log format after a header of seven bytes."""
    data, place, parts = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        if place + 7 + length > len(data):
            return  # still being written
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        # 1: whole; 4: the last part of one that is spread over blocks.
        if kind in (1, 4):
            yield parts
            parts = b""


def history(folder):
    """Rows that were logged in all sessions, and their runs, in order."""
    from wandb.proto.wandb_internal_pb2 import Record as Entry

    rows, runs = [], []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns):
        for data in entries(path):
            entry = Entry()
            entry.ParseFromString(data)
            if entry.HasField("run"):
                runs.append(entry.run)
            if entry.HasField("history"):
                items = entry.history.item
                row = {(item.key or ".".join(item.nested_key)): json.loads(item.value_json) for item in items}
                rows.append({name: value for name, value in row.items() if not name.startswith("_")})
    return rows, runs


def loss(step, value, stage="stage1"):
    protocol = {"steps": [1, step], "rate": "proxy"}
    return Record(step, stage, f"{stage}/train/loss", value, "bits/pixel", protocol)


def test_offline_records_pictures_and_a_stage_that_goes_on(tmp_path):
    io = TrackerIO(tmp_path, "name", {"seed": 3}, "hash")
    first = WandbConfig(project="latents").build(io)
    first.resume("stage1", 0)
    first.records([loss(10, 2.0), loss(20, 1.5)])
    first.records([Record(20, "stage1", "stage1/heldout/psnr", 25.0, "dB", {})])
    first.pictures([Picture(20, "stage1", "stage1/samples", np.zeros((8, 8, 1), np.uint8))])
    first.close()
    # Folders are named by the second; a process that starts anew takes longer than one.
    time.sleep(1.1)
    # Killed, and continued at step 10: step 20 comes again and is left out, what is measured is not.
    second = WandbConfig(project="latents").build(io)
    second.resume("stage1", 10)
    second.records([loss(20, 1.5), loss(30, 1.0)])
    second.records([Record(30, "stage1", "stage1/heldout/psnr", 26.0, "dB", {})])
    second.resume("stage2", 0)
    second.records([loss(10, 9.0, "stage2")])
    second.close()
    # wandb writes from a process of its own, which on a busy machine may end after `finish` has returned.
    deadline = time.monotonic() + 30
    while len(history(tmp_path)[0]) < 7 and time.monotonic() < deadline:
        time.sleep(0.2)
    rows, runs = history(tmp_path)
    numbers = [row for row in rows if "stage1/samples" not in row and not any("samples" in n for n in row)]
    assert numbers == [
        {"stage1/train/loss": 2.0, "stage1/step": 10},
        {"stage1/train/loss": 1.5, "stage1/step": 20},
        {"stage1/heldout/psnr": 25.0, "stage1/step": 20},
        {"stage1/train/loss": 1.0, "stage1/step": 30},
        {"stage1/heldout/psnr": 26.0, "stage1/step": 30},
        {"stage2/train/loss": 9.0, "stage2/step": 10},
    ]
    assert len(rows) == len(numbers) + 1
    assert len(list(tmp_path.glob("wandb/offline-run-*/files/media/images/stage1/samples*.png"))) == 1
    assert len({run.run_id for run in runs}) == 1
    assert {(run.project, run.display_name) for run in runs} == {("latents", "name")}


def test_no_network_unless_asked():
    assert WandbConfig().mode == "offline"
