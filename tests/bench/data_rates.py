"""How fast pictures are read: against a PyTorch DataLoader and the bare decoder, in one run, in turn.

    python tests/bench/data_rates.py rates     JPEG 512² → crop 256², images a second
    python tests/bench/data_rates.py access    random reads from a folder and from ArrayRecord
    python tests/bench/data_rates.py memory    resident memory over 200,000 records

Each way is measured for a few seconds, all in turn, several rounds; medians and ratios are told. Processor
time is that of the process and its workers: on a machine with other work it is the fairer figure. The
DataLoader does what its tutorials do: Pillow opens the file, converts to RGB, crops, mirrors; the array
becomes a float tensor (3, 256, 256).
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

SIDE, CROP, BATCH = 512, 256, 32
RECORDS = 8192
"""Shuffling takes longer for each record of a split of few: Grain's walks through 65,536 numbers at least."""


def photograph(seed, side):
    """Something like a photograph: detail at all scales, falling with frequency, and a little noise."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((side, side, 3))
    for octave in range(1, 8):
        n = 2**octave
        layer = Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8))
        pixels += np.asarray(layer.resize((side, side), Image.BICUBIC), np.float64) / 2**octave
    pixels += rng.normal(0, 3, pixels.shape)
    return Image.fromarray(np.clip(pixels * 0.9, 0, 255).astype(np.uint8))


def folder_of(path, count, side):
    files = []
    for i in range(16):
        buffer = io.BytesIO()
        photograph(i, side).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    for i in range(count):
        (path / f"{i % 4}").mkdir(parents=True, exist_ok=True)
        place = path / f"{i % 4}" / f"{i:05d}.jpg"
        if i < 64:
            place.write_bytes(files[i % 16])
        else:
            # The 64 under other names: a folder of a usual size, of which the system's cache holds all.
            place.hardlink_to(path / f"{i % 4}" / f"{i % 64:05d}.jpg")
    return path


def processor_seconds():
    me = psutil.Process()
    return sum(sum(p.cpu_times()[:2]) for p in [me, *me.children(recursive=True)])


class Measure:
    """Rates of several endless iterators, measured in turn."""

    def __init__(self, ways, seconds, rounds):
        self.rates = {name: [] for name in ways}
        for iterate in ways.values():
            for _ in range(2):
                next(iterate)
        for _ in range(rounds):
            for name, iterate in ways.items():
                began, used, images = time.perf_counter(), processor_seconds(), 0
                while time.perf_counter() - began < seconds:
                    images += next(iterate)
                wall, used = time.perf_counter() - began, processor_seconds() - used
                self.rates[name].append((images / used, images / wall))

    def tell(self, reference):
        """Medians, and the median over rounds of the ratio to each reference."""
        for name, rates in self.rates.items():
            cpu, wall = (statistics.median(column) for column in zip(*rates, strict=True))
            line = f"{name:24s} {cpu:8.1f} /s of processor  {wall:8.1f} /s of wall"
            for other in (other for other in reference if other != name):
                pairs = list(zip(rates, self.rates[other], strict=True))
                cpu, wall = (statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1))
                line += f"  {cpu:.2f} (wall {wall:.2f}) × {other}"
            print(line, flush=True)


def ours(config, threads=0, workers=0):
    from ulzoo.data.pipeline import batches

    with batches(config, batch_size=BATCH, seed=0, threads=threads, workers=workers) as stream:
        for batch in stream:
            yield len(batch["image"])


def bare(files):
    """Each file decoded to its last pixel, as an array, and nothing else."""
    while True:
        for data in files:
            np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            yield 1


def loader(root, workers, resize):
    import torch

    torch.set_num_threads(1)
    paths = sorted(root.rglob("*.jpg"))

    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return len(paths) * 10_000

        def __getitem__(self, index):
            rng = np.random.default_rng(index)
            with Image.open(paths[index % len(paths)]) as file:
                image = file.convert("RGB")
            if resize:
                image = image.resize((CROP, CROP), Image.BICUBIC)
            else:
                y, x = rng.integers(0, SIDE - CROP + 1, 2)
                image = image.crop((x, y, x + CROP, y + CROP))
            if rng.random() < 0.5:
                image = image.transpose(Image.FLIP_LEFT_RIGHT)
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
            return pixels.float().div(255), index % 4

    data = torch.utils.data.DataLoader(
        Pictures(), batch_size=BATCH, shuffle=False, num_workers=workers, prefetch_factor=2
    )
    for images, _ in data:
        yield len(images)


def rates(options):
    from ulzoo.data import jpeg
    from ulzoo.data.image_folder import ImageFolderConfig

    if options.pillow:
        jpeg._decode = None
    print(f"ulzoo decodes JPEG by {'Pillow' if jpeg._decode is None else 'simplejpeg'}")
    with tempfile.TemporaryDirectory() as place:
        root = folder_of(Path(place), RECORDS, SIDE)
        files = [path.read_bytes() for path in sorted(root.rglob("*.jpg"))[:64]]
        size = sum(map(len, files)) / len(files) / 1000
        print(f"{RECORDS} JPEG files of {SIDE}², {size:.0f} kB, batches of {BATCH}")
        fields = {"root": str(root), "heldout_root": str(root), "size": CROP, "flip": True, "crop": "random"}
        for title, more, resize in (
            ("a crop of 256² pixels", {"crop_size": CROP}, False),
            ("the whole picture, resized to 256²", {}, True),
        ):
            print(title)
            config = ImageFolderConfig(**fields, **more)
            ways = {
                "bare decoder": bare(files),
                "DataLoader, 2 workers": loader(root, 2, resize),
                "ulzoo, 2 threads": ours(config, threads=2),
            }
            if not options.pillow:
                ways["ulzoo, 2 workers"] = ours(config, workers=2)
            Measure(ways, options.seconds, options.rounds).tell(["bare decoder", "DataLoader, 2 workers"])


def access(options):
    from ulzoo.data.opening import open_collection
    from ulzoo.data.prepare import prepare

    with tempfile.TemporaryDirectory() as place:
        root = folder_of(Path(place) / "folder", 512, 128)
        prepare(open_collection(str(root)), Path(place) / "shards", shards=4)
        order = np.random.default_rng(0)

        def read(collection):
            while True:
                len(collection[int(order.integers(len(collection)))].image)
                yield 1

        ways = {
            "folder": read(open_collection(str(root))),
            "ArrayRecord": read(open_collection(str(Path(place) / "shards"))),
        }
        Measure(ways, options.seconds, options.rounds).tell(["folder"])


def memory(options):
    from ulzoo.data.array_record import ArrayRecordConfig
    from ulzoo.data.opening import open_collection
    from ulzoo.data.pipeline import batches
    from ulzoo.data.prepare import prepare

    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
    with tempfile.TemporaryDirectory() as place:
        root = folder_of(Path(place) / "folder", 1000, 32)
        prepare(open_collection(str(root)), Path(place) / "shards", shards=2)
        config = ArrayRecordConfig(root=str(Path(place) / "shards"), size=32)
        resident = psutil.Process().memory_info
        with batches(config, batch_size=200, seed=0) as stream:
            for step in range(options.records // 200 + 1):
                if step * 200 % (options.records // 10) == 0:
                    print(f"{step * 200:8d} records  {resident().rss / 1e6:8.1f} MB", flush=True)
                next(stream)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("rates", "access", "memory"))
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pillow", action="store_true", help="as without the extra `jpeg`; threads alone")
    parser.add_argument("--records", type=int, default=200_000)
    options = parser.parse_args()
    sys.exit({"rates": rates, "access": access, "memory": memory}[options.what](options))
