"""How fast clips are read: against bare PyAV, in one process, in turn; and memory over many clips.

    python tests/bench/video_rates.py rates     clips a second, one thread
    python tests/bench/video_rates.py memory    resident memory over 3000 clips

Videos are made here: H.264, 340×256 (as copies of Kinetics often are), 10 seconds of 25 frames, a key frame
every 2 seconds. A clip is 16 frames at a random time, 128×128. "bare PyAV" seeks to the key frame before the
same time and decodes on to the clip's last frame, "and pictures" also turns its 16 frames into RGB arrays,
"and resized" also crops and resizes them by Pillow, which is all that must be done.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

import av
import numpy as np
import psutil
from PIL import Image

from ulzoo.data.videos import VideoFolderConfig

WIDTH, HEIGHT, RATE, SECONDS = 340, 256, 25, 10
FRAMES, SIDE = 16, 128


def write_video(path, seed):
    """A photograph-like texture that pans and fades, and noise: neither still nor white."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((2 * HEIGHT, 2 * WIDTH, 3))
    for octave in range(2, 8):
        layer = Image.fromarray(rng.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8))
        pixels += np.asarray(layer.resize((2 * WIDTH, 2 * HEIGHT), Image.BICUBIC), np.float64) / 2**octave
    bright = np.clip(pixels * 2.5, 0, 245).astype(np.uint8)
    # Sensor noise, another piece of it in each frame.
    noise = rng.integers(0, 10, (2 * HEIGHT, 2 * WIDTH, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "18", "g": str(2 * RATE), "preset": "veryfast"}
        for t in range(RATE * SECONDS):
            down, across = rng.integers(HEIGHT), rng.integers(WIDTH)
            part = bright[t // 2 : t // 2 + HEIGHT, t : t + WIDTH]
            part = part + noise[down : down + HEIGHT, across : across + WIDTH]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(part), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def ours(source, index, seed):
    return source.draw(index, np.random.default_rng(seed))["image"]


def bare(source, index, seed, *, pictures=False, resized=False):
    """The same clip by PyAV alone."""
    path = source.collection.encoded(source.picture(index)).name
    share = np.random.default_rng(seed).random(3)[0]
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        begin = share * (SECONDS - FRAMES / RATE)
        container.seek(int(begin / stream.time_base), stream=stream)
        frames = (frame for frame in container.decode(stream) if frame.time > begin - 1 / RATE + 1e-4)
        found = list(islice(frames, FRAMES))
        if not pictures:
            return found
        arrays = [frame.to_ndarray(format="rgb24") for frame in found]
    if not resized:
        return arrays
    left = (WIDTH - HEIGHT) / 2
    box = (left, 0, left + HEIGHT, HEIGHT)
    small = [Image.fromarray(a).resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box) for a in arrays]
    return np.stack([np.asarray(picture) for picture in small])


WAYS = {
    "bare PyAV": bare,
    "and pictures": lambda *where: bare(*where, pictures=True),
    "and resized": lambda *where: bare(*where, pictures=True, resized=True),
    "ulzoo": ours,
}


def rates(source, seconds, rounds=3):
    # First, that they are the same clips: a resize of the same frames, to the last bit.
    for index in range(len(source)):
        np.testing.assert_array_equal(ours(source, index, 7), WAYS["and resized"](source, index, 7))
    found = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            count, began, used = 0, time.perf_counter(), time.process_time()
            while time.perf_counter() - began < seconds:
                way(source, count % len(source), count)
                count += 1
            found[name].append((count / (time.perf_counter() - began), count / (time.process_time() - used)))
    base = statistics.median(each[1] for each in found["bare PyAV"])
    print(f"{'way':14s} {'clips/s':>9s} {'clips/processor second':>24s} {'of bare PyAV':>14s}")
    for name, values in found.items():
        wall, used = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{name:14s} {wall:9.1f} {used:24.1f} {used / base:14.2f}")


def memory(source, count):
    process = psutil.Process(os.getpid())
    for number in range(count + 1):
        if number % (count // 10) == 0:
            print(f"{number:6d} clips: {process.memory_info().rss / 2**20:7.1f} MiB", flush=True)
        ours(source, number % len(source), number)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("rates", "memory"))
    parser.add_argument("--seconds", type=float, default=3.0, help="for each way and round")
    parser.add_argument("--clips", type=int, default=3000, help="that memory is watched over")
    parser.add_argument("--videos", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.videos):
            write_video(Path(folder) / f"{number}.mp4", number)
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / given.videos / SECONDS
        print(f"{8 * size / 1e3:.0f} kbit/s, PyAV {av.__version__}")
        config = VideoFolderConfig(
            root=folder, size=SIDE, frames=FRAMES, labels="none", heldout_fraction=1e-9
        )
        source = config.open("train")
        if given.what == "rates":
            rates(source, given.seconds)
        else:
            memory(source, given.clips)


if __name__ == "__main__":
    main()
