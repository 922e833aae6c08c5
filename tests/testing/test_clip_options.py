"""Components on clips, with the options that are for clips."""

import pytest

from ulzoo.interfaces import ConditionIO, DecoderIO, EncoderIO, NetworkIO
from ulzoo.testing import check_component

CLIP = NetworkIO((2, 5, 4, 4), ConditionIO(6, (4, 3, 2, 2)))
SMALL = {"embedding_width": 8, "causal": True, "patch": [2, 2, 2]}
VIT = {"width": 8, "depth": 2, "heads": 1} | SMALL
LEVEL = {"width": 8, "depth": 2, "heads": 1, "attention": "windowed", "window": [2, 1, 2], "dropout": 0.1}
UVIT = {"channels": [8], "blocks": [1], "width": 8, "depth": 1, "heads": 1, "factors": [[1, 1, 2]]} | SMALL
TOLD = [{"type": "ulzoo.class_label.v1", "width": 4}, {"type": "ulzoo.given_frames.v1", "given": [[3, 0]]}]
DECODER = DecoderIO((1, 5, 4, 4), (2, 3, 2, 2), 5.0, 10, causal=True)

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
    "mse": (
        "ulzoo.mse_decoder.v1",
        {"network": {"type": "ulzoo.vit.v1"} | VIT, "conditioners": TOLD},
        DECODER,
    ),
    "diffusion": (
        "ulzoo.diffusion_decoder.v1",
        {
            "network": {"type": "ulzoo.vit.v1"} | VIT,
            "conditioners": TOLD,
            "weighting": {"type": "ulzoo.sigmoid.v1", "loss_factor": 3.0, "bias": 3.0},
        },
        DECODER,
    ),
}


QUICK = ("vit",)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_it_keeps_what_its_kind_promises(name, builtin_registry):
    component, example, io = CASES[name]
    check_component(component, example, io=io, registry=builtin_registry)
