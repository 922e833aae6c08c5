"""Statistics of reference images as a file: the `.npz` with `mu` and `sigma` that FID packages publish."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ulzoo.data.storage import local
from ulzoo.errors import DataError
from ulzoo.metrics.sinks import Moments


@dataclass(frozen=True)
class ReferenceFile:
    """A file of statistics. `moments.count` is 0: such a file does not say how many images it is of."""

    path: Path
    sha256: str
    moments: Moments

    @property
    def dimensions(self) -> int:
        """Of the features."""
        return len(self.moments.mean)

    def protocol(self) -> dict[str, Any]:
        """What a protocol says of it."""
        return {"of": f"statistics of a file, {self.path.name}", "sha256": self.sha256, "images": None}


def read_reference(path: str) -> ReferenceFile:
    """`mu` (k,) and `sigma` (k, k); other arrays of the file are not read, and nothing in it is run.

    Raises:
        DataError: no such file, or none of this kind.
    """
    file = local(path)
    try:
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        found = np.load(file, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise DataError(f"{path}: one array, not an .npz with mu and sigma")
        with found as arrays:
            if absent := [name for name in ("mu", "sigma") if name not in arrays.files]:
                raise DataError(f"{path}: no {' and no '.join(absent)} among {', '.join(arrays.files[:8])}")
            mean, covariance = (np.asarray(arrays[name]) for name in ("mu", "sigma"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: no .npz file of arrays ({error})") from error
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or len(mean) < 1:
        raise DataError(f"{path}: mu {mean.shape} and sigma {covariance.shape} are not (k,) and (k, k)")
    if mean.dtype.kind != "f" or covariance.dtype.kind != "f":
        raise DataError(f"{path}: mu and sigma are {mean.dtype} and {covariance.dtype}, not floating point")
    mean, covariance = mean.astype(np.float64), covariance.astype(np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise DataError(f"{path}: values that are not finite")
    # Published ones were computed in float64, some kept in float32.
    if np.abs(covariance - covariance.T).max() > 1e-4 * np.abs(covariance).max():
        raise DataError(f"{path}: sigma is not symmetric, so it is no covariance")
    return ReferenceFile(file, sha256, Moments(0, mean, (covariance + covariance.T) / 2))


def check_reference(path: str, dimensions: int) -> None:
    """Raises DataError for a file that cannot be read, or is of other features."""
    found = read_reference(path).dimensions
    if found != dimensions:
        raise DataError(f"{path}: statistics of {found} features, but this network gives {dimensions}")
