"""Tables of videos in the layout of Kinetics: which there are, of what class and split.

label,youtube_id,time_start,time_end,split
abseiling,0347ZoDXyP0,95,105,train          →  0347ZoDXyP0_000095_000105.mp4
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from ulzoo.data.storage import is_remote, local, read_whole
from ulzoo.errors import DataError

_NEEDED = ("label", "youtube_id", "time_start", "time_end")
_SAME = {"val": "validate", "validation": "validate"}


@dataclass(frozen=True, slots=True)
class Row:
    """One video.

    Attributes:
        stem: its file name without suffix.
        label: name of its class; empty where the table has none, as in a test split.
        split: "train", "validate", "test", or another word; empty without the column.
        line: of the table.
    """

    stem: str
    label: str
    split: str
    line: int


def read_table(path: str) -> list[Row]:
    """The rows of a table, in its order; columns may stand in any order, others are not looked at.

    Raises:
        DataError: the table cannot be read, lacks a column, or names a video twice or without time; with its
            line.
    """
    data = read_whole(path if is_remote(path) else str(local(path)))
    try:
        lines = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        head = [name.strip().lower() for name in next(lines, [])]
        if lacking := [name for name in _NEEDED if name not in head]:
            raise DataError(
                f"{path}:1: a table of videos needs the columns {', '.join((*_NEEDED, 'split'))};"
                f" {', '.join(lacking)} not found"
            )
        rows: list[Row] = []
        seen: dict[str, int] = {}
        for cells in lines:
            if not any(cells):
                continue
            row = _row(dict(zip(head, (cell.strip() for cell in cells), strict=False)), path, lines.line_num)
            if row.stem in seen:
                raise DataError(f"{path}:{row.line}: {row.stem!r} was named in line {seen[row.stem]} already")
            seen[row.stem] = row.line
            rows.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: no table of comma-separated values in UTF-8: {error}") from error
    if not rows:
        raise DataError(f"{path}: names no video")
    return rows


def _row(cells: dict[str, str], path: str, line: int) -> Row:
    if not cells.get("youtube_id"):
        raise DataError(f"{path}:{line}: no youtube_id")
    times = []
    for name in ("time_start", "time_end"):
        text = cells.get(name, "")
        try:
            times.append(int(float(text)))
        except (ValueError, OverflowError):
            raise DataError(f"{path}:{line}: {name} must be a number of seconds, got {text!r}") from None
        if not 0 <= times[-1] < 10**6:
            raise DataError(f"{path}:{line}: {name} must be 0 to 999999 seconds, got {text!r}")
    split = cells.get("split", "").lower()
    stem = f"{cells['youtube_id']}_{times[0]:06d}_{times[1]:06d}"
    return Row(stem, cells.get("label", ""), _SAME.get(split, split), line)
