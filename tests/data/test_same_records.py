"""A stage goes on with the records that it was trained on, and with no others."""

from __future__ import annotations

import pytest

from ulzoo.data.same_records import same_records
from ulzoo.errors import DataError


class Records:
    def __init__(self, count, fingerprint):
        self.count, self.print = count, fingerprint

    def __len__(self):
        return self.count

    def fingerprint(self):
        return self.print


def test_what_a_checkpoint_notes_is_what_is_asked_for_later():
    noted = same_records({}, Records(5, "a"), 1)
    assert same_records({"stage": "stage1", **noted}, Records(5, "a"), 1) == noted
    # A checkpoint of an earlier version notes nothing.
    assert same_records({"stage": "stage1"}, Records(6, "b"), 1) == same_records({}, Records(6, "b"), 1)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (Records(6, "b"), "5 records then, 6 now"),
        (Records(5, "b"), "as many records, 5, but other ones"),
    ],
)
def test_other_records_are_refused(now, said):
    noted = same_records({}, Records(5, "a"), 1)
    with pytest.raises(DataError, match=f"the data of stage 2 has changed .*: {said}\n    put back"):
        same_records(noted, now, 2)
