"""YAML 1.2's scalars, places, and the traps of YAML."""

import math

import pytest

from ulzoo.errors import SpecError
from ulzoo.spec.text import MAX_BYTES, parse, read_text


def fails(text):
    with pytest.raises(SpecError) as caught:
        parse(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("+7", 7),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("True", True),
        ("false", False),
        ("'1'", "1"),
        ('"true"', "true"),
        ("~", None),
        ("", None),
        ("null", None),
        ("2020-01-01", "2020-01-01"),
        ("-9223372036854775808", -(2**63)),
        ("-.inf", -math.inf),
        ("=", "="),
        ("1e400", math.inf),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    data = parse(f"a: {text}", "f.yaml").data["a"]
    assert data == value
    assert type(data) is type(value)


def test_nan_is_a_float():
    assert math.isnan(parse("a: .nan", "f.yaml").data["a"])


def test_places_are_keys_or_else_values():
    document = parse("a:\n  b: [1, {c: 2}]\n# é\n'd e':  x\n", "f.yaml")
    where = {location: mark.where for location, mark in document.marks.items()}
    assert where == {
        (): "f.yaml:1:1",
        ("a",): "f.yaml:1:1",
        ("a", "b"): "f.yaml:2:3",
        ("a", "b", 0): "f.yaml:2:7",
        ("a", "b", 1): "f.yaml:2:10",
        ("a", "b", 1, "c"): "f.yaml:2:11",
        ("d e",): "f.yaml:4:1",
    }
    assert document.mark(("a", "b", 7, "z")).where == "f.yaml:2:3"


def test_anchors_are_values_to_copy():
    assert parse("a: &x {b: 1}\nc: *x\nd: [*x, *x]", "f.yaml").data["d"] == [{"b": 1}, {"b": 1}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "f.yaml:2:1: duplicate key 'a', first at 1:1"),
        ("a: 1\n? a\n: 2", "f.yaml:2:3: duplicate key 'a', first at 1:1"),
        ("a: {b: 1, 'b': 2}", "f.yaml:1:11: duplicate key 'b', first at 1:5"),
        ("x: &x {a: 1}\ny: {<<: *x}", "f.yaml:2:5: merge keys (<<) are not YAML 1.2; write the fields out"),
        ("1: 2", "f.yaml:1:1: a key must be text; quote it if it is meant so"),
        ("[a]: 2", "f.yaml:1:1: a key must be text; quote it if it is meant so"),
        ("a: &a [*a]", "f.yaml:1:8: *a contains itself"),
        ("a: &a {b: &b {c: *a}}", "f.yaml:1:18: *a contains itself"),
        ("a: *b", "f.yaml:1:4: no anchor &b stands above"),
        (
            "a: !!python/object/apply:os.system [x]",
            "f.yaml:1:4: tags are not allowed, got !!python/object/apply:os.system",
        ),
        ("a: !!str 1", "f.yaml:1:4: tags are not allowed, got !!str"),
        ("a: !x 1", "f.yaml:1:4: tags are not allowed, got !x"),
        ("a: 9223372036854775808", "f.yaml:1:4: an integer beyond 64 bits: '9223372036854775808'"),
        ("a: " + "7" * 9000, f"f.yaml:1:4: an integer beyond 64 bits: '{'7' * 37}…'"),
        ("a: 0x" + "f" * 9000, f"f.yaml:1:4: an integer beyond 64 bits: '0x{'f' * 35}…'"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: a second document; a spec is one"),
        ("%YAML 1.1\n---\na: 1", "f.yaml:1:1: directives are not allowed"),
        ("a: 1\nb\x07: 2", "f.yaml:2:2: unprintable character '\\x07'"),
        ("[" * 60, "f.yaml:1:51: nested more than 50 deep"),
        ("&a a: &b [*a]\nc: " + "[" * 48 + "*b", "f.yaml:2:52: nested more than 50 deep, anchors expanded"),
    ],
)
def test_traps_are_errors_with_a_place(text, message):
    assert fails(text) == message


@pytest.mark.parametrize(("text", "line"), [("a: b: c", 1), ("x: 1\n  y: 2", 2), ("a: 1\nb: 'x", 2)])
def test_what_is_not_yaml_has_a_place(text, line):
    # The sentence after it is the YAML library's.
    assert fails(text).startswith(f"f.yaml:{line}:")
    assert ": not YAML: " in fails(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1", "2:1: not YAML: a tab; lines are indented with spaces"),
        ("a: é\n\tb: 2", "2:1: not YAML: a tab; lines are indented with spaces"),
        ("a: 1\nname acme\n\nb: 2", "2:1: not YAML: no ':' after this key"),
        ("x: {a: 1\nb: 2", "2:2: not YAML: did not find expected ',' or '}'; opened at 1:4"),
        ("a: @x", "1:4: not YAML: found character that cannot start any token"),
    ],
)
def test_frequent_mistakes_have_their_own_line_and_words(text, message):
    assert fails(text) == f"f.yaml:{message}"


def test_half_a_surrogate_pair_is_refused():
    assert fails('a: "\\ud800"').startswith("f.yaml:1:")


def test_keys_that_are_wrong_are_all_reported():
    assert fails("a: 1\na: 2\nb: {<<: 3, 4: 5}").count("f.yaml:") == 3


def test_a_bomb_is_refused_before_it_is_built():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert fails("\n".join(lines)) == "f.yaml:5:5: more than 20,000 values, anchors expanded"


def test_a_truncated_text_is_an_error_at_its_end():
    assert fails("a: {b: [1, 2").startswith("f.yaml:1:")


def test_files_that_cannot_be_read(tmp_path):
    def message(path):
        with pytest.raises(SpecError) as caught:
            read_text(path)
        return str(caught.value).replace(str(tmp_path), "")

    assert message(tmp_path / "none.yaml") == "/none.yaml: cannot be read: No such file or directory"
    assert message(tmp_path) == ": cannot be read: Is a directory"
    assert "cannot be read: " in message("a\0b")
    long = tmp_path / "long.yaml"
    long.write_bytes(b"a" * (MAX_BYTES + 1))
    assert message(long) == "/long.yaml: is longer than 1,000,000 bytes; no spec is"
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("a: 1\nb: é\n".encode("latin-1"))
    assert message(latin) == "/latin.yaml:2:4: is not UTF-8 text: byte 0xe9 at offset 8"


def test_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert parse(read_text(path), "f.yaml").data == {"a": 1}
