import pytest

from ulzoo.errors import RunError
from ulzoo.planning.accelerators import ACCELERATORS, OF_TOPOLOGY, accelerator_named
from ulzoo.planning.quantities import amount, duration, size
from ulzoo.planning.topology import libtpu_requirement, parse_topology


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**20, "3 MiB"), (2**44, "16 TiB")],
)
def test_bytes(count, text):
    assert size(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(5, "5 "), (12_300_000, "12.3 M"), (1.5e18, "1.5 E"), (999, "999 "), (1000, "1 k")]
)
def test_amounts(count, text):
    assert amount(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0125, "12.5 ms"),
        (1.5, "1.5 s"),
        (119, "119 s"),
        (150, "2.5 min"),
        (9000, "2.5 hours"),
        (4e6, "46.3 days"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "kind", "chips"), [("v5e:16x16", "v5e", 256), ("v4:2x2x4", "v4", 16), ("v6e:8", "v6e", 8)]
)
def test_topologies(text, kind, chips):
    assert parse_topology(text) == (kind, chips)


@pytest.mark.parametrize(
    "text", ["v5e", "v5e:", "v5e:16x", "16x16", "v5e:0x4", "v5e:a", "v5e:4x4 ", "h100:8"]
)
def test_what_is_no_topology(text):
    with pytest.raises(RunError, match="such as v5e:16x16"):
        parse_topology(text)


def test_accelerators_have_figures_and_sources():
    for name, accelerator in ACCELERATORS.items():
        assert name == accelerator.name
        assert accelerator.bfloat16 >= accelerator.float32 > 0
        assert accelerator.rate("bfloat16") == 1e12 * accelerator.bfloat16
        assert accelerator.bytes == accelerator.memory * 10**9
        assert "https://" in accelerator.source
    assert set(OF_TOPOLOGY.values()) <= ACCELERATORS.keys()


def test_an_unknown_accelerator_is_told_with_the_nearest():
    with pytest.raises(RunError, match="no figures for 'H100s'; did you mean 'h100'"):
        accelerator_named("H100s")


def test_libtpu_is_the_one_that_jax_was_made_with():
    assert libtpu_requirement().startswith("libtpu==")
