"""Learned perceptual distance of reconstructions: Zhang et al. 1801.03924."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.errors import DataError, InterfaceError
from ulzoo.metrics.inception_features import check_pictures
from ulzoo.spec.component import SEEDS, Component, ComponentOf
from ulzoo.spec.effect import Effect

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Metric
    from ulzoo.metrics.collecting import Reader

Side = Annotated[int, Field(ge=16, le=4096)]
PathText = Annotated[str, Field(min_length=1)]


class LPIPSConfig(Component):
    """Mean over images of the learned perceptual distance (version 0.1) of reconstructions to their
    originals: 0 for equal images."""

    type: Literal["ulzoo.lpips.v1"] = "ulzoo.lpips.v1"
    stage: ClassVar[int] = 1
    example: ClassVar = {
        **{"backbone": "alexnet-owt-7be5be79.pth", "heads": "lpips-alex-v0.1.pth"},
        **{"resize": 32, "count": 24},
    }

    network: Literal["alex", "vgg"] = "alex"
    """Whose features: AlexNet's, which the authors recommend for comparing, or VGG-16's, for training."""

    backbone: PathText
    """File of the classifier's weights, as torchvision publishes them, or the same arrays as safetensors; `~`
    is the home folder, a relative path starts at the working directory."""

    heads: PathText
    """File of the weights of channels, as the authors publish them, or the same arrays as safetensors."""

    split: Literal["train", "heldout"] = "heldout"
    """Whose images."""

    count: int | None = Field(default=1000, gt=0)
    """At most this many images, spread evenly over the split; null for all."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the latent noise, the decoder's sampler and the bootstrap."""

    sampler: Annotated[Component, ComponentOf("sampler")] | None = None
    """Sampler of the decoder; null for the one of the spec's sample section."""

    resize: Side | None = None
    """Pixels of a side that both images are resized to first, bilinear, not antialiased; null leaves them as
    they are, as papers do. Images below 31 pixels (`vgg`: 16) need it."""

    batch_size: Annotated[int, Field(gt=0, le=4096), Effect.PERFORMANCE] = 32
    """Images at a time; changes no number beyond float32's rounding."""

    @classmethod
    def example_files(cls, folder: Path) -> Mapping[str, Any]:
        """A small network with random weights."""
        return write_random_lpips(folder, "alex")

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record.

        Raises:
            InterfaceError: data that are no images, images too small for the network, or files that do not
                hold it.
        """
        from ulzoo.metrics.networks.lpips import SMALLEST
        from ulzoo.metrics.networks.perceptual import lpips_module
        from ulzoo.metrics.pair_metric import pair_measure

        check_pictures(io)
        smallest = SMALLEST[self.network]
        if self.resize is None and io is not None and min(io.shape[1:]) < smallest:
            raise InterfaceError(
                f"the network needs images of {smallest} pixels, not {io.shape[1]} × {io.shape[2]};"
                " give resize: 64",
                "resize",
            )
        if self.resize is not None and self.resize < smallest:
            raise InterfaceError(
                f"the network needs images of {smallest} pixels, not {self.resize}", "resize"
            )
        for path in ("backbone", "heads"):
            try:
                lpips_module(self.network, self.backbone, self.heads, values=False, only=path)
            except DataError as error:
                raise InterfaceError(str(error), path) from error
        network = PerceptualDistance(self.network, self.backbone, self.heads, self.resize, self.batch_size)
        return pair_measure(self, "lpips", network, {})


@dataclass(frozen=True)
class PerceptualDistance:
    """The `lpips` of a batch of reconstructions."""

    network: str
    backbone: str
    heads: str
    resize: int | None
    batch_size: int

    def open(self) -> Reader:
        from ulzoo.metrics.networks.perceptual import lpips_reader

        return lpips_reader(self.network, self.backbone, self.heads, self.resize, self.batch_size)

    def protocol(self) -> Mapping[str, Any]:
        """Which weights, and what images were resized to."""
        from ulzoo.metrics.networks.readers import described

        return {
            "network": f"LPIPS 0.1, {self.network}",
            "backbone": described(self.backbone),
            "heads": described(self.heads),
            "resize": "none" if self.resize is None else f"{self.resize} pixels, bilinear, not antialiased",
        }


def write_random_lpips(folder: Path, network: str) -> dict[str, str]:
    """Small random weights of both files, for examples; the fields that name them."""
    from ulzoo.metrics.networks.lpips import backbone, heads, widths_of
    from ulzoo.weights.reading import random_tensors
    from ulzoo.weights.safetensors_file import write_safetensors

    def narrow(name: str, sizes: tuple[int | None, ...]) -> tuple[int, ...]:
        return tuple(8 if size is None else size for size in sizes)

    import numpy as np

    made = []
    arrays = random_tensors(lambda take: made.append(backbone(take, network)), narrow)
    weights = random_tensors(lambda take: heads(take, widths_of(made[0])), narrow)
    files = {"backbone": arrays, "heads": {name: np.abs(value) for name, value in weights.items()}}
    for field, tensors in files.items():
        write_safetensors(folder / f"{network}-{field}.safetensors", tensors)
    return {field: str(folder / f"{network}-{field}.safetensors") for field in files}
