"""Frames that follow given ones, without a model: copies, linear motion, and the motion that only an oracle
knows. NumPy and SciPy; uint8 clips (t, h, w, c)."""

from __future__ import annotations

import numpy as np

FINENESS = 4
"""Steps to a pixel in the search for the motion that fits best."""


def repeated(clips: np.ndarray, given: int) -> np.ndarray:
    """The last given frame in place of all that follow: uint8 (n, t, h, w, c) → (n, t − given, h, w, c)."""
    return clips[:, given - 1 : given].repeat(clips.shape[1] - given, axis=1)


def moved_on(clip: np.ndarray, given: int) -> np.ndarray:
    """The last given frame, shifted on by the mean motion of the given ones: uint8 (t − given, h, w, c).

    The motion is one shift of the whole frame, found as the peak of the cross-correlation of first and last
    given frame (to a pixel, so to 1/(given − 1) pixels a frame); what moves in is the edge's.
    """
    pace = whole_shift(clip[0], clip[given - 1]) / max(1, given - 1)
    steps = range(1, len(clip) - given + 1)
    return np.stack([_shifted(clip[given - 1], *(pace * ahead)[:, None])[0, 0] for ahead in steps])


def moved_as_seen(clip: np.ndarray, given: int) -> np.ndarray:
    """The last given frame, shifted to where each later frame has it: uint8 (t − given, h, w, c).

    What an oracle would say that knows the motion and nothing of the content but that frame. The shift is the
    one of least squared error within a pixel of the peak of the cross-correlation with the true frame, to
    1/`FINENESS` pixels.
    """
    last = clip[given - 1]
    near = np.arange(-FINENESS, FINENESS + 1) / FINENESS
    found = []
    for true in clip[given:]:
        down, across = whole_shift(last, true)
        tried = _shifted(last, down + near, across + near)
        errors = np.square(tried.astype(np.float64) - true).sum((2, 3, 4))
        found.append(tried[np.unravel_index(np.argmin(errors), errors.shape)])
    return np.stack(found)


def whole_shift(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whole pixels down and across by which one frame (h, w, c) has moved in the other: int (2,)."""
    one, other = (frame.astype(np.float64).mean(-1) for frame in (first, second))
    spectrum = np.fft.rfft2(other - other.mean()) * np.conj(np.fft.rfft2(one - one.mean()))
    place = np.unravel_index(np.argmax(np.fft.irfft2(spectrum, one.shape)), one.shape)
    # Beyond half the frame the peak stands for a motion the other way.
    return np.array([at - size if at > size // 2 else at for at, size in zip(place, one.shape, strict=True)])


def _shifted(frame: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """A frame (h, w, c) moved by every pair of shifts, bilinear: uint8 (downs, acrosses, h, w, c)."""
    rows, columns = (_between(size, by) for size, by in zip(frame.shape, (down, across), strict=False))
    moved = np.einsum("aij,bkl,jlc->abikc", rows, columns, frame.astype(np.float64), optimize=True)
    return np.rint(np.clip(moved, 0, 255)).astype(np.uint8)


def _between(size: int, shifts: np.ndarray) -> np.ndarray:
    """Matrices (n, size, size) that move a line by so many places; beyond its end is its last value."""
    where = np.clip(np.arange(size) - np.asarray(shifts)[:, None], 0, size - 1)
    return np.maximum(0.0, 1.0 - np.abs(where[:, :, None] - np.arange(size)))
