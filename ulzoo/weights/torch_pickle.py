"""The part of a PyTorch file that is a pickle, read without running anything it names.

A pickle is a program for a stack machine, and two of its instructions call whatever function the file names.
Here is a machine of our own that knows the instructions a saved state dict is made of, and in place of
functions a short table of what stands for tensors. Anything else is refused, by name, before it means
anything. `pickletools` only splits the bytes into instructions.

Source: the opcodes' own documentation in `pickletools`; the layout of `torch.save` as its notes on
serialization describe it.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from ulzoo.errors import DataError

STORAGES = {
    "FloatStorage": "F32",
    "DoubleStorage": "F64",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
"""Class of a storage in the module `torch` → dtype, named as safetensors does."""

_MAX_INSTRUCTIONS = 20_000_000


@dataclass(frozen=True)
class Storage:
    """A run of values that tensors look into.

    Attributes:
        key: its name in the file.
        dtype: as in `STORAGES`.
        size: number of values.
    """

    key: str
    dtype: str
    size: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor: a strided look into a storage, every place of it inside the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    """What a pickle would import; here words and nothing more."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class _Mark:
    pass


_MARK = _Mark()


def interpret(stream: BinaryIO, where: str) -> Any:
    """The object that one pickle describes: dicts, lists, tuples, text, numbers and `StoredTensor`s.

    Args:
        stream: stands at the pickle's first byte, and afterwards behind its last.
        where: the file, for messages.

    Raises:
        DataError: the pickle is damaged, or names or does anything but build tensors.
    """
    try:
        return _run(stream, where)
    except DataError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, EOFError) as error:
        raise DataError(f"{where}: damaged: {error}") from error


def _run(stream: BinaryIO, where: str) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if count > _MAX_INSTRUCTIONS:
            raise DataError(f"{where}: more than {_MAX_INSTRUCTIONS} instructions; no weights are so long")
        name = opcode.name
        if name == "STOP":
            return stack.pop()
        if name in _PUSHED:
            stack.append(argument)
        elif name in _MEMO_WRITES:
            memo[len(memo) if name == "MEMOIZE" else int(str(argument))] = stack[-1]
        elif name in _MEMO_READS:
            stack.append(memo[int(str(argument))])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(_named(name, argument, stack, where))
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop(), where))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_called(function, arguments, where))
        elif name == "BUILD":
            # A state dict carries notes about its modules' versions; they change no number.
            stack.pop()
            if not isinstance(stack[-1], dict):
                raise DataError(f"{where}: sets up an object of its own, which is no tensor; refused")
        elif name in _STACK:
            _STACK[name](stack)
        elif name not in ("PROTO", "FRAME"):
            raise DataError(f"{where}: has the instruction {name}, which no saved tensors need; refused")
    raise ValueError("it ends before its end")


_PUSHED = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "SHORT_BINSTRING", "BINSTRING"),
}
_MEMO_WRITES = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}
_MEMO_READS = {"BINGET", "LONG_BINGET"}


def _to_mark(stack: list[Any]) -> list[Any]:
    place = max(index for index, value in enumerate(stack) if value is _MARK)
    found = stack[place + 1 :]
    del stack[place:]
    return found


def _tuple_of(count: int) -> Callable[[list[Any]], None]:
    def make(stack: list[Any]) -> None:
        values = tuple(stack[-count:])
        if len(values) < count:
            raise IndexError("too few values for a tuple")
        del stack[-count:]
        stack.append(values)

    return make


def _append(stack: list[Any], values: list[Any]) -> None:
    if not isinstance(stack[-1], list):
        raise TypeError("appends to what is no list")
    stack[-1].extend(values)


def _set(stack: list[Any], values: list[Any]) -> None:
    if not isinstance(stack[-1], dict) or len(values) % 2:
        raise TypeError("sets items of what is no dict")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, str | int):
            raise TypeError(f"a key of type {type(key).__name__}")
        stack[-1][key] = value


def _set_one(stack: list[Any]) -> None:
    value, key = stack.pop(), stack.pop()
    _set(stack, [key, value])


_STACK: dict[str, Callable[[list[Any]], None]] = {
    "MARK": lambda stack: stack.append(_MARK),
    "NONE": lambda stack: stack.append(None),
    "NEWTRUE": lambda stack: stack.append(True),
    "NEWFALSE": lambda stack: stack.append(False),
    "EMPTY_DICT": lambda stack: stack.append({}),
    "EMPTY_LIST": lambda stack: stack.append([]),
    "EMPTY_TUPLE": lambda stack: stack.append(()),
    "TUPLE": lambda stack: stack.append(tuple(_to_mark(stack))),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "APPEND": lambda stack: _append(stack, [stack.pop()]),
    "APPENDS": lambda stack: (lambda values: _append(stack, values))(_to_mark(stack)),
    "SETITEM": _set_one,
    "SETITEMS": lambda stack: (lambda values: _set(stack, values))(_to_mark(stack)),
}


def _named(opcode: str, argument: Any, stack: list[Any], where: str) -> _Name:
    if opcode == "GLOBAL":
        module, _, name = str(argument).partition(" ")
    else:
        name, module = stack.pop(), stack.pop()
    found = _Name(str(module), str(name))
    if (found.module, found.name) not in _CALLS and not _is_storage(found):
        raise DataError(
            f"{where}: names {found}, which is no part of a tensor; refused, and nothing in the file was run"
        )
    return found


def _is_storage(name: _Name) -> bool:
    return name.module == "torch" and name.name in STORAGES


def _storage(identity: Any, where: str) -> Storage:
    """`("storage", class, key, device, size)`, in older files with a view at its end."""
    if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
        raise DataError(f"{where}: refers to {str(identity)[:80]}, which is no storage of values")
    kind, key, size = identity[1], identity[2], identity[4]
    if not isinstance(kind, _Name) or not _is_storage(kind) or not isinstance(size, int) or size < 0:
        raise DataError(f"{where}: refers to a storage of an unknown kind")
    if len(identity) > 5 and identity[5] is not None:
        raise DataError(f"{where}: has a storage inside another one, which is not read")
    return Storage(str(key), STORAGES[kind.name], size)


def _called(function: Any, arguments: Any, where: str) -> Any:
    if not isinstance(function, _Name) or (function.module, function.name) not in _CALLS:
        raise DataError(f"{where}: calls {function}, which makes no tensor; refused")
    if not isinstance(arguments, tuple):
        raise TypeError("arguments that are no tuple")
    return _CALLS[function.module, function.name](*arguments)


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *ignored: Any) -> StoredTensor:
    """Arguments as `torch._utils._rebuild_tensor_v2` has them; flags and hooks are left alone."""
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, Storage) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError("a tensor of no storage, or of negative sizes")
    if len(shape) != len(stride) or len(shape) > 8:
        raise ValueError("a tensor whose sizes and strides do not match")
    count, last = 1, offset
    for size, step in zip(shape, stride, strict=True):
        count *= size
        last += (size - 1) * step
    # More values than are stored would be a small file that fills the memory.
    if count and (last >= storage.size or count > storage.size):
        raise ValueError("a tensor that reaches beyond its storage")
    return StoredTensor(storage, offset, tuple(shape), tuple(stride))


def _parameter(data: Any, *ignored: Any) -> StoredTensor:
    if not isinstance(data, StoredTensor):
        raise ValueError("a parameter that is no tensor")
    return data


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    made: list[Any] = [{}]
    _set(made, [part for pair in pairs for part in pair])
    return made[0]


_CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): lambda sizes: tuple(sizes),
    ("collections", "OrderedDict"): _ordered,
}


def interpret_bytes(data: bytes, where: str) -> Any:
    """As `interpret`, of a pickle that is all of `data`."""
    return interpret(io.BytesIO(data), where)
