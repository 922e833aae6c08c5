"""Files of weights against the libraries that write them; files that are no weights are refused, unrun."""

from __future__ import annotations

import json
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from ulzoo.errors import DataError
from ulzoo.weights.reading import WeightsFile, random_tensors, taken
from ulzoo.weights.safetensors_file import write_safetensors

RNG = np.random.default_rng(0)


def state(torch):
    """Every dtype, a view into a larger storage, a transposed one, a shared one, a scalar, an empty one."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return OrderedDict(
        whole=base,
        part=base[1:3, 2:],
        turned=base.T,
        half=torch.randn(5).half(),
        brain=torch.randn(7).bfloat16(),
        double=torch.randn(3, 2, dtype=torch.float64),
        long=torch.tensor([-(2**40), 5]),
        byte=torch.tensor([0, 255], dtype=torch.uint8),
        flag=torch.tensor([True, False]),
        scalar=torch.tensor(3),
        empty=torch.zeros(0, 4),
        parameter=torch.nn.Parameter(torch.randn(2, 2)),
    )


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "older"])
@pytest.mark.parametrize("around", ["plain", "nested", "module"])
def test_what_torch_saves(tmp_path, zipped, around):
    torch = pytest.importorskip("torch")
    tensors = state(torch)
    if around == "module":
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        # With notes on its modules' versions beside the tensors.
        tensors = module.state_dict()
    saved = {"epoch": 3, "lr": 0.1, "name": "x", "state_dict": tensors} if around == "nested" else tensors
    torch.save(saved, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    file = WeightsFile.open(tmp_path / "w.pth")
    assert list(file.entries) == list(tensors)
    for name, tensor in tensors.items():
        want = tensor.detach()
        want = (want.float() if want.dtype == torch.bfloat16 else want).numpy()
        found = file.array(name)
        assert found.dtype == want.dtype
        np.testing.assert_array_equal(found, want)
        assert file.entries[name].shape == want.shape


def test_safetensors_against_the_library(tmp_path):
    library = pytest.importorskip("safetensors.torch")
    torch = pytest.importorskip("torch")
    tensors = {name: t.detach().contiguous().clone() for name, t in state(torch).items()}
    library.save_file(tensors, tmp_path / "w.safetensors", {"format": "pt"})
    file = WeightsFile.open(tmp_path / "w.safetensors")
    assert set(file.entries) == set(tensors)
    for name, tensor in tensors.items():
        want = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        np.testing.assert_array_equal(file.array(name), want)
    ours = {"a": RNG.standard_normal((3, 4)).astype(np.float32), "b.c": np.float32(RNG.standard_normal(5))}
    write_safetensors(tmp_path / "o.safetensors", ours)
    again = library.load_file(tmp_path / "o.safetensors")
    assert set(again) == set(ours)
    assert all((again[name].numpy() == value).all() for name, value in ours.items())


# ---- files that would do something -------------------------------------------------------------


class Runs:
    """What a pickle of it would call."""

    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "older"])
@pytest.mark.parametrize("place", ["value", "beside", "inside"])
def test_code_is_refused_by_name_and_not_run(tmp_path, zipped, place):
    torch = pytest.importorskip("torch")
    mark = tmp_path / "was-run"
    tensor = torch.randn(3)
    code = Runs((open, (str(mark), "w")))
    saved = {
        "value": {"a": tensor, "b": code},
        "beside": {"state_dict": {"a": tensor}, "optimizer": code},
        "inside": {"a": tensor, "b": [(code,)]},
    }[place]
    torch.save(saved, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match=r"names (io|_io|builtins|__builtin__)\.open.*refused"):
        WeightsFile.open(tmp_path / "w.pth")
    assert not mark.exists()


def pickled(tmp_path, body, data=(), name="w.pth"):
    """A zip like torch's around a pickle written by hand."""
    path = tmp_path / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + body + b".")
        for key, values in data:
            archive.writestr(f"archive/data/{key}", values)
    return path


def tensor_body(stored, offset, shape, stride):
    def row(numbers):
        return b"".join(b"J" + struct.pack("<i", number) for number in numbers)

    head = b"}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n"
    head += b"FloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + row([stored]) + b"tQ" + row([offset])
    return head + b"(" + row(shape) + b"t(" + row(stride) + b"t\x89}tRs"


def test_a_pickle_by_hand_is_read(tmp_path):
    data = np.arange(6, dtype="<f4").tobytes()
    file = WeightsFile.open(pickled(tmp_path, tensor_body(6, 1, [2, 2], [2, 1]), [("0", data)]))
    np.testing.assert_array_equal(file.array("a"), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R", "names os.system, which is no part of a tensor"),
        (b"(X\x02\x00\x00\x00lsios\nsystem\n", "instruction INST"),
        (b"(cos\nsystem\nX\x02\x00\x00\x00lso", "names os.system"),
        (b"\x82\x01", "instruction EXT1"),
        (b"ccollections\nOrderedDict\n)\x81", "instruction NEWOBJ"),
        (b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93", "names os.system"),
        (b"ctorch\nload\nX\x01\x00\x00\x00x\x85R", "names torch.load"),
        (b"ctorch\nFloatStorage\n)R", "calls torch.FloatStorage"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n}b", "sets up an object of its own"),
        (b"]K\x01a", "holds no tensors by name"),
        (b"0", "damaged|instruction POP"),
        (b"t", "damaged"),
        (b"h\x05", "damaged"),
        (b"X\xff\xff\xff\x7fab", "damaged"),
        (b"}(]K\x01u", "damaged: a key of type list"),
        (tensor_body(6, 0, [2, 4], [4, 1]), "reaches beyond its storage"),
        (tensor_body(6, -1, [2], [1]), "negative"),
        # A small file that would fill the memory.
        (tensor_body(6, 0, [2**30, 2**30], [0, 0]), "reaches beyond its storage"),
        (tensor_body(6, 0, [2], [1, 1]), "sizes and strides do not match"),
    ],
)
def test_hostile_and_damaged_pickles(tmp_path, body, words):
    with pytest.raises(DataError, match=words):
        WeightsFile.open(pickled(tmp_path, body, [("0", bytes(24))]))


def test_values_of_another_length_are_not_unpacked(tmp_path):
    body = tensor_body(6, 0, [6], [1])
    short = WeightsFile.open(pickled(tmp_path, body, [("0", bytes(20))]))
    with pytest.raises(DataError, match="missing or not 24 bytes long"):
        short.array("a")
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + body + b".")
        archive.writestr("archive/data/0", bytes(10**7))
    with pytest.raises(DataError, match="not 24 bytes long"):
        WeightsFile.open(path).array("a")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"x/data.pkl": b"\x80\x02}.", "x/code/a.py": b""}, "TorchScript"),
        ({"x/other": b""}, "no data.pkl"),
        ({"x/data.pkl": b"\x80\x02}.", "x/byteorder": b"big"}, "other byte order"),
    ],
)
def test_zips_of_something_else(tmp_path, members, words):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(DataError, match=words):
        WeightsFile.open(tmp_path / "w.pth")


def test_older_files_that_are_cut_or_something_else(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "w.pth"
    torch.save(dict(state(torch)), path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for length in (5, 20, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"damaged|refused"):
            WeightsFile.open(path)
    path.write_bytes(b"\x80\x02]K\x01a.")
    with pytest.raises(DataError, match="not one of PyTorch's files"):
        WeightsFile.open(path)


@pytest.mark.parametrize(
    ("table", "data", "words"),
    [
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(4), "damaged"),
        ({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, bytes(8), "8 bytes in the file, 12"),
        ({"a": {"dtype": "F8", "shape": [3], "data_offsets": [0, 3]}}, bytes(8), "a dtype that is not read"),
        ({"a": {"dtype": "F32", "shape": [-2, -1], "data_offsets": [0, 8]}}, bytes(8), "no whole numbers"),
        ({"a": {"shape": [2]}}, bytes(8), "damaged"),
    ],
)
def test_damaged_safetensors(tmp_path, table, data, words):
    text = json.dumps(table).encode()
    (tmp_path / "w").write_bytes(struct.pack("<Q", len(text)) + text + data)
    with pytest.raises(DataError, match=words):
        WeightsFile.open(tmp_path / "w")


def test_files_of_no_format_are_told(tmp_path):
    for content in (b"", b"hello, this is text", bytes(64), struct.pack("<Q", 2**60) + b"{"):
        (tmp_path / "w").write_bytes(content)
        with pytest.raises(DataError, match=r"neither safetensors|damaged"):
            WeightsFile.open(tmp_path / "w")
    with pytest.raises(DataError, match=r"no\.pth: cannot be read: No such file"):
        WeightsFile.open(tmp_path / "no.pth")


# ---- a network's arrays ------------------------------------------------------------------------


def build(take):
    return [take("one.weight", None, 3), take("one.bias", 4)]


def test_taking_is_exact(tmp_path):
    made = random_tensors(build, lambda name, sizes: tuple(4 if size is None else size for size in sizes))

    def written(**changes):
        tensors = {name: value for name, value in (made | changes).items() if value is not None}
        write_safetensors(tmp_path / "w", tensors)
        return WeightsFile.open(tmp_path / "w")

    for found, value in zip(taken(written(), build), made.values(), strict=True):
        np.testing.assert_array_equal(found, value)
    with pytest.raises(DataError, match=r"not the weights of this network: no one\.bias"):
        taken(written(**{"one.bias": None}), build)
    with pytest.raises(DataError, match="also has extra"):
        taken(written(extra=np.zeros(1)), build)
    taken(written(extra=np.zeros(1)), build, spare=("extra",))
    with pytest.raises(DataError, match=r"one.weight has the shape \(4, 2\), not \(any, 3\)"):
        taken(written(**{"one.weight": np.zeros((4, 2))}), build)
    broken = written(**{"one.bias": np.array([1, np.nan, 0, 0])})
    with pytest.raises(DataError, match=r"one.bias holds values that are not finite"):
        taken(broken, build)
    # Names and sizes alone can be checked without reading a value.
    taken(broken, build, values=False)
