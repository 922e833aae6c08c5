"""Pictures in archives, shards and tables: the same records wherever they lie."""

from __future__ import annotations

import io
import os
import pickle

import numpy as np
import pytest
import stored_pictures
from PIL import Image
from stored_formats import FORMATS, opened
from stored_pictures import CLASSES, EXPECTED, as_folder, as_parquet, as_tar, records, values

from ulzoo.data.image_folder import ImageFolderConfig
from ulzoo.data.parquet import ParquetConfig
from ulzoo.data.pipeline import Batches, eval_batches
from ulzoo.data.webdataset import WebDatasetConfig
from ulzoo.errors import DataError


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gives_the_same_records(format, tmp_path):
    config, make = FORMATS[format]
    root = make(tmp_path)
    source = opened(config, root)
    assert values(source) == EXPECTED
    assert source[0]["image"].shape == (4, 4, 3)
    assert config(root=str(root), size=4).io().num_classes == 2
    # Captions and labels as they are stored; the file itself, byte for byte.
    stored = {source.picture(i).image for i in range(len(source))}
    assert stored == {data for _, _, data, _ in records()}
    # Other processes open it anew.
    assert values(pickle.loads(pickle.dumps(source))) == EXPECTED
    both = [
        config(root=str(root), size=4, heldout_fraction=0.4).open(split) for split in ("train", "heldout")
    ]
    assert values(both[0]) | values(both[1]) == EXPECTED
    assert not values(both[0]) & values(both[1])
    assert opened(config, root).fingerprint() == source.fingerprint()
    without = opened(config, root, labels="none")
    assert {label for _, label in values(without)} == {-1}


@pytest.mark.parametrize("format", ["tar", "parquet"])
def test_captions(format, tmp_path):
    config, make = FORMATS[format]
    fields = {"caption_column": "text"} if format == "parquet" else {}
    source = opened(config, make(tmp_path), **fields)
    found = {(source.picture(i).image, source.caption(i)) for i in range(len(source))}
    assert found == {(data, caption) for _, _, data, caption in records()}


@pytest.mark.parametrize("format", ["tar", "parquet"])
@pytest.mark.parametrize("workers", [0, 1])
def test_captions_come_in_batches_where_they_are_asked_for(format, workers, tmp_path):
    config, make = FORMATS[format]
    fields = {"caption_column": "text"} if format == "parquet" else {}
    source = opened(config, make(tmp_path), captions=True, **fields)
    with Batches(source, batch_size=12, seed=0, workers=workers) as stream:
        batch = next(stream)
    assert batch["caption"].shape == (12,)
    expected = {100 * label + number: text for label, number, _, text in records()}
    found = dict(zip(batch["image"][:, 0, 0, 0].tolist(), batch["caption"].tolist(), strict=True))
    assert found == expected
    (whole,) = eval_batches(source, 12)
    assert sorted(whole["caption"]) == sorted(expected.values())
    assert "caption" not in opened(config, make(tmp_path), **fields)[0]


def test_captions_of_what_has_none_are_an_error(tmp_path):
    with pytest.raises(DataError, match="no captions are stored with the pictures"):
        opened(ImageFolderConfig, as_folder(tmp_path), captions=True)


@pytest.mark.parametrize("format", FORMATS)
def test_a_fingerprint_follows_contents_and_not_places(format, tmp_path, monkeypatch):
    config, make = FORMATS[format]
    roots = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        if name == "three":
            # One picture is another one: of as many pixels, so only its bytes tell.
            pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            changed = [
                (*one[:2], buffer.getvalue(), one[3]) if i == 4 else one for i, one in enumerate(records())
            ]
            monkeypatch.setattr(stored_pictures, "records", lambda changed=changed: changed)
        roots.append(make(tmp_path / name))
    one, two, three = (opened(config, root).fingerprint() for root in roots)
    assert one == two != three


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_with_as_many_bytes_is_noticed_on_this_machine(format, tmp_path):
    config, make = FORMATS[format]
    root = make(tmp_path)
    one, again = opened(config, root), opened(config, root)
    assert one.written() == again.written()
    for path in [root] if root.is_file() else [path for path in root.rglob("*") if path.is_file()]:
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 10**9))
    later = opened(config, root)
    assert later.fingerprint() == one.fingerprint()
    # A zip's fingerprint has the checksums of its entries.
    assert (later.written() == one.written()) == ("zip" in format)


def test_class_names_tell_the_number_of_classes(tmp_path):
    source = ParquetConfig(root=str(as_parquet(tmp_path)), size=4)
    assert source.collect(source.root).class_names == CLASSES
    with pytest.raises(DataError, match="holds 2 classes, not 3: ant, bee"):
        opened(ParquetConfig, source.root, classes=3)
    with pytest.raises(DataError, match="holds 2 classes, not 1"):
        opened(WebDatasetConfig, as_tar(tmp_path), classes=1)
    assert opened(WebDatasetConfig, as_tar(tmp_path), classes=5)
