"""The same few pictures in every format that is read."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee")
PER_CLASS = 6


def encoded(value, size=(9, 7), format="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, (value,) * 3).save(buffer, format=format)
    return buffer.getvalue()


def records():
    """(class number, number, bytes, caption): the value of a picture is 100 · class + number."""
    for label in range(len(CLASSES)):
        for number in range(PER_CLASS):
            yield label, number, encoded(100 * label + number), f"{CLASSES[label]} Nº {number}"


def as_folder(path):
    for label, number, data, _ in records():
        folder = path / "folder" / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(data)
    return path / "folder"


def as_zip(path, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path / "pictures.zip", "w", method) as archive:
        for label, number, data, _ in records():
            archive.writestr(f"{CLASSES[label]}/{number}.png", data)
        archive.writestr("__MACOSX/ant/._0.png", b"x")
        archive.writestr("README.txt", b"x")
    return path / "pictures.zip"


def zip_of(path, *entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def add(archive, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def as_tar(path):
    folder = path / "shards"
    folder.mkdir(exist_ok=True)
    for shard in range(2):
        with tarfile.open(folder / f"{shard:03d}.tar", "w") as archive:
            for label, number, data, caption in records():
                if number % 2 == shard:
                    key = f"{label}_{number}"
                    add(archive, f"{key}.cls", str(label).encode())
                    add(archive, f"{key}.png", data)
                    add(archive, f"{key}.txt", caption.encode())
    return folder


def as_parquet(path, struct=True):
    import pyarrow
    import pyarrow.parquet as parquet

    rows = list(records())
    files = [data for _, _, data, _ in rows]
    pictures = (
        pyarrow.array(
            [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(files)],
            pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
        )
        if struct
        else pyarrow.array(files, pyarrow.binary())
    )
    names = {"label": {"names": list(CLASSES), "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    table = pyarrow.table(
        {
            "image": pictures,
            "label": pyarrow.array([row[0] for row in rows], pyarrow.int64()),
            "text": [row[3] for row in rows],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": names}})})
    parquet.write_table(table, path / "train-00000.parquet", row_group_size=5)
    return path / "train-00000.parquet"


def as_plain_array_record(path):
    """Shards of nothing but picture files, as another program may write them."""
    from array_record.python.array_record_module import ArrayRecordWriter

    folder = path / "records"
    folder.mkdir(exist_ok=True)
    writer = ArrayRecordWriter(str(folder / "a.array_record"), "group_size:1")
    for _, _, data, _ in records():
        writer.write(data)
    writer.close()
    return folder


def values(source):
    """What the pictures of a source say they are: (value, label)."""
    found = [source[i] for i in range(len(source))]
    return {(int(record["image"][0, 0, 0]), int(record.get("label", -1))) for record in found}


EXPECTED = {(100 * label + number, label) for label in range(2) for number in range(PER_CLASS)}


def noise(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
