"""What a spec sees of the Haar encoder. Loads no JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.errors import InterfaceError
from ulzoo.spec import Component

if TYPE_CHECKING:
    from ulzoo.interfaces import EncoderIO


class HaarConfig(Component):
    """Haar wavelet transform of the whole image, then a linear map of each position. Source: Haar 1910."""

    type: Literal["example.haar.v1"] = "example.haar.v1"
    example: ClassVar = {"latent_channels": 2}

    latent_channels: int = Field(ge=1)
    """Channels of the latent."""
    levels: int = Field(default=2, ge=1, le=8)
    """How often resolution is halved along every axis; nothing is lost before the linear map."""

    def latent_shape(self, data_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of z_clean. Raises InterfaceError if the data cannot be halved so often."""
        factor = 2**self.levels
        if any(extent % factor for extent in data_shape[1:]):
            raise InterfaceError(
                f"{self.levels} levels need extents that {factor} divides, not {data_shape[1:]}", "levels"
            )
        return (self.latent_channels, *(extent // factor for extent in data_shape[1:]))

    def build(self, io: EncoderIO, *, key: Any) -> Any:
        from ulzoo_example.haar.module import Haar

        self.latent_shape(io.data_shape)
        return Haar.draw(self, io, key=key)
