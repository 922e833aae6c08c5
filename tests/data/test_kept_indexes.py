"""Indexes, listings and names: kept until something changes, and small."""

from __future__ import annotations

import numpy as np
import pytest
from stored_formats import FORMATS, opened
from stored_pictures import EXPECTED, as_folder, encoded, values, zip_of

from ulzoo.data.collection import Names


@pytest.mark.parametrize("format", ["zip", "tar"])
def test_an_index_is_kept_until_the_file_changes(format, tmp_path, cache):
    config, make = FORMATS[format]
    root = make(tmp_path)
    opened(config, root)
    kept = sorted((cache / "ulzoo/data/index").iterdir())
    assert kept
    for path in kept:  # damaged ones are made again
        path.write_bytes(b"junk")
    assert values(opened(config, root)) == EXPECTED
    if format == "zip":
        zip_of(root, ("ant/9.png", encoded(9)))
        assert values(opened(config, root)) == {(9, 0)}


def test_a_long_listing_is_kept_until_a_folder_changes(tmp_path, monkeypatch):
    import os
    import time

    from ulzoo.data import listing

    folder = as_folder(tmp_path)
    old = time.time() - 60
    for path in (folder, *folder.iterdir()):
        os.utime(path, (old, old))
    monkeypatch.setattr(listing, "KEPT_FROM", 5)
    calls = []
    find = listing.find_pictures
    monkeypatch.setattr(listing, "find_pictures", lambda *given: calls.append(1) or find(*given))
    first = list(listing.list_pictures(folder))
    assert list(listing.list_pictures(folder)) == first
    assert len(calls) == 1
    (folder / "bee" / "new.png").write_bytes(encoded(5))
    assert list(listing.list_pictures(folder)) == sorted([*first, "bee/new.png"])
    assert len(calls) == 2
    # Changed this very moment: what is listed now may not be kept.
    listing.list_pictures(folder)
    assert len(calls) == 3


def test_names_take_little_room_and_keep_bytes_that_are_no_unicode():
    texts = ["a", "", "ünï", "b\udcff.png"]
    names = Names.of(texts)
    assert list(names) == [names[i] for i in range(4)] == texts
    assert list(Names.from_arrays(*names.arrays().values())) == texts
    with pytest.raises(IndexError):
        names[4]
    assert names.digest() != Names.of(["a", "ünï", "", "b\udcff.png"]).digest()
    assert names.digest(np.zeros(4, np.int32)) != names.digest(np.ones(4, np.int32))
    big = Names.of(f"{i:08d}.png" for i in range(10_000))
    assert len(big.data) + big.ends.nbytes == 10_000 * 20
