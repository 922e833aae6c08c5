"""Components on clips, with the options that are for clips."""

import pytest

from ulzoo.interfaces import ConditionIO, EncoderIO, NetworkIO
from ulzoo.testing import check_component

CLIP = NetworkIO((2, 5, 4, 4), ConditionIO(6, (4, 3, 2, 2)))
SMALL = {"embedding_width": 8, "causal": True, "patch": [2, 2, 2]}
VIT = {"width": 8, "depth": 2, "heads": 1} | SMALL
LEVEL = {"width": 8, "depth": 2, "heads": 1, "attention": "windowed", "window": [2, 1, 2], "dropout": 0.1}
UVIT = {"channels": [8], "blocks": [1], "width": 8, "depth": 1, "heads": 1, "factors": [[1, 1, 2]]} | SMALL

CASES = {
    "vit": ("ulzoo.vit.v1", VIT | {"attention": "factorised", "dropout": 0.1}, CLIP),
    "vit2": ("ulzoo.vit2.v1", {"levels": [LEVEL]} | SMALL, CLIP),
    "uvit": ("ulzoo.uvit.v1", UVIT | {"dropout": 0.1}, CLIP),
    "resnet": (
        "ulzoo.resnet.v1",
        {
            "channels": [8, 8],
            "blocks": [1, 1],
            "latent_channels": 2,
            "patch": [1, 2, 2],
            "causal": True,
            "dropout": 0.1,
        },
        EncoderIO((1, 5, 8, 8)),
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        "vit",
        "resnet",
        pytest.param("vit2", marks=pytest.mark.slow),
        pytest.param("uvit", marks=pytest.mark.slow),
    ],
)
def test_it_keeps_what_its_kind_promises(name, builtin_registry):
    component, example, io = CASES[name]
    check_component(component, example, io=io, registry=builtin_registry)
