"""Whatever a file holds, the answer is a spec or a SpecError, soon."""

import random
import time

import pytest
from fake_site import SPEC

from ulzoo.errors import SpecError
from ulzoo.spec import Spec, check_structure, diff, dump_yaml, load_spec, parse_spec, show, spec_hash

COUNT = 1200
# A spec loads in about 2 ms; the largest text that is accepted at all, 1 MB, parses in about 0.2 s. The bound
# leaves room for a busy machine and would still catch anything that grows faster than the text.
SECONDS = 5.0

# fmt: off
VALUES = [
    "null", "true", "no", "-1", "0", "1.0", "1e-4", "1e999", ".nan", "-.inf", "99999999999999999999", "x",
    "''", "[]", "{}", "[[[]]]", "[1, x, {}]", "{a: {b: {c: d}}}", "{type: 3}", "{type: acme.net.v1}",
    "{type: '::'}", "{type: acme.conv.v2, channels: x}", "{type: [acme]}", "{type: 'x::acme.net.v1'}",
    "&a [*a]", "*a", "!!int 3", "!!python/name:os.system", "|\n  text", ">", "'\\0'", '"\\0"', '"\\ud800"',
    '"\\x85"', '"\\e[31m"', "0x" + "f" * 5000, "9" * 5000, "1" + "0" * 400 + ".5", "{" * 40, "[" * 2000,
    "? ", "<<: *a", "{<<: {}}", "@", "`", "%", "\t", "\u2028", "\ud800",
]
# fmt: on


def bomb(depth):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, depth)]
    return "\n".join(lines)


SPECIAL = [
    b"",
    b"\x00" * 100,
    bytes(range(256)) * 20,
    b"\xff\xfe" + SPEC.encode("utf-16-le"),
    SPEC.encode("utf-32"),
    b"\x1f\x8b\x08" + bytes(200),
    b"name: " + b"a" * 10_000_000,
    b"a" * 900_000,
    b"[" * 900_000,
    b"- " * 400_000,
    b"{a: " * 200_000,
    b"&a " * 300_000,
    b"[" + b"1," * 400_000 + b"]",
    b"? " * 400_000,
    b"\n" * 900_000,
    b"#" * 900_000,
    b"'" * 900_000,
    b"a: 1\n" * 180_000,
    "".join(f"k{i}: 1\n" for i in range(60_000)).encode(),
    bomb(12).encode(),
    (SPEC + bomb(40)).encode(),
    b"a: &a\n  b: &b\n    c: *a\n    d: *b\n",
    b"&a {x: *a}",
    b"&a [&b [*a, *b]]",
]


def mutate(rng):
    """The text cut, with bytes changed, removed or put in, with values replaced, lines moved or indented."""
    raw = bytearray(SPEC.encode())
    kind = rng.randrange(8)
    if kind == 0:
        return bytes(raw[: rng.randrange(len(raw))])
    if kind == 1:
        for _ in range(rng.randint(1, 8)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        return bytes(raw)
    if kind == 2:
        start = rng.randrange(len(raw))
        return bytes(raw[:start] + raw[start + rng.randint(1, 30) :])
    if kind == 3:
        start = rng.randrange(len(raw))
        return bytes(raw[:start] + rng.randbytes(rng.randint(1, 30)) + raw[start:])
    lines = SPEC.splitlines()
    for _ in range(rng.randint(1, 3)):
        index = rng.randrange(len(lines))
        key, colon, _ = lines[index].partition(":")
        if kind in (4, 5):
            lines[index] = f"{key}{colon} {rng.choice(VALUES)}"
        elif kind == 6:
            lines[index] = rng.choice(["", " ", "  ", "- ", "x", "\t", "'"]) + lines[index]
        else:
            other = rng.randrange(len(lines))
            lines[index], lines[other] = lines[other], lines[index]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def attempt(path, raw, registry, overrides=()):
    """Whether the bytes are a spec; anything but a spec or a SpecError, or taking long, fails the test."""
    path.write_bytes(raw)
    start = time.perf_counter()
    spec = outcome(lambda: load_spec(path, overrides, registry))
    structure = outcome(lambda: check_structure(path, overrides, registry))
    assert time.perf_counter() - start < SECONDS
    if isinstance(spec, SpecError):
        assert spec.problems
        assert all(problem.where and problem.text for problem in spec.problems)
        assert len(str(spec)) < 100_000
        assert str(spec).replace("\n", "").isprintable()
        return False
    assert isinstance(spec, Spec)
    assert structure is None
    dump_yaml(spec), spec_hash(spec)
    assert parse_spec(show(spec), registry=registry) == spec
    assert diff(spec, spec) == ()
    return True


def outcome(function):
    try:
        return function()
    except SpecError as error:
        return error


def test_mutated_specs_are_specs_or_spec_errors(registry, tmp_path):
    rng = random.Random(0)
    path = tmp_path / "mutated.yaml"
    accepted = sum(attempt(path, mutate(rng), registry) for _ in range(COUNT))
    # The mutations would test little if none, or most, were still specs.
    assert 0 < accepted < COUNT // 2


@pytest.mark.parametrize("raw", SPECIAL, ids=lambda raw: f"{len(raw)}-{bytes(raw[:6])!r}")
def test_hostile_texts_are_spec_errors(registry, tmp_path, raw):
    assert not attempt(tmp_path / "hostile.yaml", raw, registry)


@pytest.mark.parametrize("value", VALUES)
def test_every_value_in_every_place(registry, tmp_path, value):
    path = tmp_path / "value.yaml"
    lines = SPEC.splitlines()
    for index, line in enumerate(lines):
        key = line.partition(":")[0]
        text = "\n".join([*lines[:index], f"{key}: {value}", *lines[index + 1 :]])
        attempt(path, text.encode("utf-8", "surrogatepass"), registry)


def test_mutated_overrides_are_spec_errors(registry, tmp_path):
    rng = random.Random(1)
    paths = [
        "stage1.steps",
        "encoder",
        "encoder.type",
        "evaluate.0",
        "evaluate.9",
        "prior.schedule.low",
        "a.b",
        "..",
        "",
    ]
    path = tmp_path / "spec.yaml"
    for _ in range(300):
        overrides = [f"{rng.choice(paths)}={rng.choice(VALUES)}" for _ in range(rng.randint(1, 3))]
        attempt(path, SPEC.encode(), registry, overrides)
