"""ArrayRecord: files of pictures alone, and what shards keep beside them."""

from __future__ import annotations

import pickle

import pytest
from stored_formats import opened
from stored_pictures import EXPECTED, as_plain_array_record, encoded, values

from ulzoo.data.array_record import ArrayRecordConfig
from ulzoo.data.collections.array_record import pack, unpack
from ulzoo.errors import DataError


def test_plain_array_records_are_pictures_without_labels(tmp_path):
    root = as_plain_array_record(tmp_path)
    source = opened(ArrayRecordConfig, root, labels="none")
    assert {value for value, _ in values(source)} == {value for value, _ in EXPECTED}
    assert source.record_name(3) == "a.array_record:3"
    with pytest.raises(DataError, match=r"'a\.array_record:0' has no label; to do without, set labels: none"):
        opened(ArrayRecordConfig, root)
    assert values(pickle.loads(pickle.dumps(source))) == values(source)


def test_damaged_array_record_is_a_damaged_record(tmp_path):
    root = as_plain_array_record(tmp_path)
    path = root / "a.array_record"
    data = bytearray(path.read_bytes())
    place = data.index(encoded(3)) + 20
    data[place] ^= 0xFF
    path.write_bytes(data)
    source = opened(ArrayRecordConfig, root, labels="none", corrupt="skip")
    assert values(source) == {(value, -1) for value, _ in EXPECTED if value != 3}
    assert source.skipped == ("a.array_record:3",)
    with pytest.raises(DataError, match=r"a\.array_record:3' is damaged"):
        opened(ArrayRecordConfig, root, labels="none")[3]


def test_records_keep_facts():
    record = pack(b"\x00payload", name="ä/1.png", label=3, caption=None)
    assert unpack(record) == ({"name": "ä/1.png", "label": 3}, b"\x00payload")
    assert unpack(b"\xff\xd8 plain") == ({}, b"\xff\xd8 plain")
    for cut in (5, 9, 20):
        with pytest.raises(ValueError, match=r"cut|Expecting|Unterminated"):
            unpack(record[:cut])
