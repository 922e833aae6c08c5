"""What a spec sees of the mixer. Loads no JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.spec import Component

if TYPE_CHECKING:
    from ulzoo.interfaces import NetworkIO


class MixerConfig(Component):
    """MLP-Mixer with a shift and scale from what it is told. Source: Tolstikhin et al. 2105.01601."""

    type: Literal["example.mixer.v1"] = "example.mixer.v1"
    example: ClassVar = {"width": 16, "depth": 2, "patch": 2, "dropout": 0.1}

    width: int = Field(ge=1)
    """Channels of a token."""
    depth: int = Field(ge=1)
    """Mixer blocks."""
    patch: int = Field(default=1, ge=1)
    """Edge of a patch in pixels (or latent positions)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout rate after each block's channel MLP while training."""

    def build(self, io: NetworkIO, *, key: Any) -> Any:
        """Raises InterfaceError if the patch does not divide the input."""
        from ulzoo_example.mixer.module import Mixer

        return Mixer.draw(self, io, key=key)
