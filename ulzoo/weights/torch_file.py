"""PyTorch's files of weights: the zip of `torch.save` since 1.6, and the stream that it wrote before."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ulzoo.errors import DataError
from ulzoo.weights.arrays import ITEM_BYTES, Entry, strided
from ulzoo.weights.torch_pickle import Storage, StoredTensor, interpret, interpret_bytes

_MAX_PICKLE = 1 << 27
_MAGIC = 0x1950A86A20F9469CFC6C
"""First object of the older format."""
_PROTOCOL = 1001
_NESTED = ("state_dict", "model", "model_state_dict", "teacher")
"""Keys under which training scripts put the state dict, in order of preference."""


def open_zip(path: Path) -> dict[str, Entry]:
    """Entries of a zip made by `torch.save`. Raises DataError as `read_weights` does."""
    where = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
            if len(pickles) != 1:
                raise DataError(f"{where}: a zip, but not one of tensors: it has no data.pkl")
            root = pickles[0].removesuffix("data.pkl")
            if any(name.startswith(f"{root}code/") for name in members):
                raise DataError(
                    f"{where}: a TorchScript program, not a file of weights\n"
                    "    take the same weights as safetensors or as a saved state dict"
                )
            if f"{root}byteorder" in members and archive.read(f"{root}byteorder").strip() != b"little":
                raise DataError(f"{where}: written on a machine of the other byte order, which is not read")
            if members[pickles[0]].file_size > _MAX_PICKLE:
                raise DataError(f"{where}: its data.pkl is longer than any list of weights")
            described = interpret_bytes(archive.read(pickles[0]), where)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataError(f"{where}: damaged: {error}") from error

    def load(storage: Storage) -> bytes:
        name = f"{root}data/{storage.key}"
        wanted = storage.size * ITEM_BYTES[storage.dtype]
        # The sizes are compared before anything is unpacked.
        if name not in members or members[name].file_size != wanted:
            raise DataError(f"{where}: damaged: the values {name!r} are missing or not {wanted} bytes long")
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.read(name)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
            raise DataError(f"{where}: damaged: {error}") from error

    return _entries(described, load, where)


def open_stream(path: Path) -> dict[str, Entry]:
    """Entries of a file in the older format. Raises DataError as `read_weights` does."""
    where = str(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        if interpret(file, where) != _MAGIC:
            raise DataError(f"{where}: a pickle, but not one of PyTorch's files; refused")
        if interpret(file, where) != _PROTOCOL:
            raise DataError(f"{where}: PyTorch's older format in a version that is not read")
        system = interpret(file, where)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise DataError(f"{where}: written on a machine of the other byte order, which is not read")
        described = interpret(file, where)
        keys = interpret(file, where)
        if not isinstance(keys, list):
            raise DataError(f"{where}: damaged: no list of storages")
        places = _places(file, [str(key) for key in keys], _storages(described), size, where)

    def load(storage: Storage) -> bytes:
        if storage.key not in places:
            raise DataError(f"{where}: damaged: the values {storage.key!r} are missing")
        with path.open("rb") as file:
            file.seek(places[storage.key])
            return file.read(storage.size * ITEM_BYTES[storage.dtype])

    return _entries(described, load, where)


def _places(
    file: BinaryIO, keys: list[str], storages: dict[str, Storage], size: int, where: str
) -> dict[str, int]:
    """Where the values of each storage begin: in turn, each behind its number of values."""
    places = {}
    for key in keys:
        head = file.read(8)
        storage = storages.get(key)
        if len(head) != 8 or storage is None or struct.unpack("<q", head)[0] != storage.size:
            raise DataError(f"{where}: damaged: the values {key!r} are not as many as it says")
        places[key] = file.tell()
        end = places[key] + storage.size * ITEM_BYTES[storage.dtype]
        if end > size:
            raise DataError(f"{where}: damaged: it ends within the values {key!r}")
        file.seek(end)
    return places


def _storages(described: Any) -> dict[str, Storage]:
    return {tensor.storage.key: tensor.storage for tensor in _state(described).values()}


def _state(described: Any) -> dict[str, StoredTensor]:
    """The tensors by name, out of what was saved around them."""
    found = {}
    if isinstance(described, dict):
        for key in _NESTED:
            if isinstance(described.get(key), dict):
                return _state(described[key])
        found = {str(key): value for key, value in described.items() if isinstance(value, StoredTensor)}
    return found


def _entries(described: Any, load: Callable[[Storage], bytes], where: str) -> dict[str, Entry]:
    state = _state(described)
    if not state:
        raise DataError(f"{where}: holds no tensors by name; save the model's state_dict()")
    return {
        name: Entry(
            tensor.shape,
            tensor.storage.dtype,
            # The tensor is bound now: the loop's name will be another's.
            lambda tensor=tensor: strided(  # type: ignore[misc]
                load(tensor.storage), tensor.storage.dtype, tensor.offset, tensor.shape, tensor.stride
            ),
        )
        for name, tensor in state.items()
    }
