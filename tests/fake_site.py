"""Distributions on a private path: small configurations of every kind that a spec needs, without JAX."""

from __future__ import annotations

from pathlib import Path

MODULE = '''
from typing import Annotated, Literal
from pydantic import Field, field_validator
from ulzoo.spec import Component, ComponentOf, default_component

class Data(Component):
    type: Literal["acme.data.v1"] = "acme.data.v1"
    size: int | tuple[int, int] = 8
    """Pixels."""
    root: str = "."
    def io(self): return None
    def open(self, split): return None

class Encoder(Component):
    type: Literal["acme.conv.v2"] = "acme.conv.v2"
    channels: tuple[int, ...] = Field(default=(4, 8), min_length=1, max_length=4)
    """Channels per stage."""
    rate: float = Field(default=0.1, ge=0, le=1)
    """Dropout rate."""
    wide: bool = False
    def build(self, io, *, key): return None

class Other(Component):
    type: Literal["acme.other.v1"] = "acme.other.v1"
    depth: int = 1
    def build(self, io, *, key): return None

class Network(Component):
    type: Literal["acme.net.v1"] = "acme.net.v1"
    width: int = Field(gt=0)
    def build(self, io, *, key): return None

class Schedule(Component):
    type: Literal["acme.linear.v1"] = "acme.linear.v1"
    low: float = -10.0
    high: float = 5.0
    @field_validator("high")
    @classmethod
    def above(cls, value, info):
        if value <= info.data.get("low", value - 1):
            raise ValueError(f"must be above low = {info.data['low']}, got {value}")
        return value
    def build(self, io, *, key): return None

class Prior(Component):
    type: Literal["acme.prior.v1"] = "acme.prior.v1"
    network: Annotated[Component, ComponentOf("network")]
    schedule: Annotated[Component, ComponentOf("schedule")] = default_component("acme.linear.v1", low=-8.0)
    extra: Annotated[Component, ComponentOf("network")] | None = None
    conditioners: tuple[Annotated[Component, ComponentOf("network")], ...] = ()
    def build(self, io, *, key): return None

class Decoder(Component):
    type: Literal["acme.decoder.v1"] = "acme.decoder.v1"
    loss_factor: float = 1.5
    kind: Literal["x", "v"] = "v"
    def build(self, io, *, key): return None

class Base(Component):
    type: Literal["acme.base.v1"] = "acme.base.v1"
    def build(self, io, *, key): return None

class Metric(Component):
    type: Literal["acme.metric.v1"] = "acme.metric.v1"
    seed: int = 0
    def build(self, io, *, key): return None
'''

OWN = """
from typing import Literal
from ulzoo.spec import Component

class Adam(Component):
    type: Literal["ulzoo.adam.v1"] = "ulzoo.adam.v1"
    learning_rate: float = 1e-3
    def build(self, io, *, key): return None

class Ddim(Component):
    type: Literal["ulzoo.ddim.v1"] = "ulzoo.ddim.v1"
    steps: int
    def build(self, io, *, key): return None
"""

ACME = {
    "dataset": {"acme.data.v1": "Data"},
    "encoder": {"acme.conv.v2": "Encoder", "acme.other.v1": "Other"},
    "network": {"acme.net.v1": "Network"},
    "schedule": {"acme.linear.v1": "Schedule"},
    "prior": {"acme.prior.v1": "Prior"},
    "decoder": {"acme.decoder.v1": "Decoder"},
    "base_model": {"acme.base.v1": "Base"},
    "metric": {"acme.metric.v1": "Metric"},
}

SPEC = """\
ulzoo: 1
name: tiny
data: {type: acme.data.v1, size: 16}
encoder:
  type: acme.conv.v2
  channels: [4, 8]
prior:
  type: acme.prior.v1
  network: {type: acme.net.v1, width: 8}
decoder: {type: acme.decoder.v1}
base_model: {type: acme.base.v1}
stage1:
  steps: 100
  batch_size: 8
  rate_warmup_steps: 10
stage2: {steps: 50, batch_size: 8}
evaluate:
  - {type: acme.metric.v1}
  - {type: acme.metric.v1, seed: 1}
"""


def distribution(
    folder: Path, name: str, version: str, groups: dict[str, dict[str, str]], module: str
) -> None:
    """A dist-info that declares `module:Class` for every kind and name of `groups`."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = []
    for kind, entries in groups.items():
        lines.append(f"[ulzoo.{kind}]")
        lines += [f"{entry} = {module}:{attribute}" for entry, attribute in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def site(folder: Path) -> Path:
    """A folder with `acme_ulzoo 1.4` and as much of `ulzoo 0.1.0` as a spec's defaults name."""
    folder.mkdir(exist_ok=True)
    (folder / "fake_acme.py").write_text(MODULE)
    (folder / "fake_own.py").write_text(OWN)
    distribution(folder, "acme_ulzoo", "1.4", ACME, "fake_acme")
    own = {"optimizer": {"ulzoo.adam.v1": "Adam"}, "sampler": {"ulzoo.ddim.v1": "Ddim"}}
    distribution(folder, "ulzoo", "0.1.0", own, "fake_own")
    return folder


def module(folder, name, text):
    """A file of components that a distribution may name."""
    (folder / f"{name}.py").write_text(
        "from typing import Literal\nfrom ulzoo.spec import Component\n" + text
    )


def toy(name, cls="Toy"):
    """The text of a component that builds nothing."""
    return (
        f'class {cls}(Component):\n    type: Literal["{name}"] = "{name}"\n'
        "    def build(self, io, *, key): return None\n"
    )
