"""The parts of a generated spec, as YAML."""

from __future__ import annotations

_VIT = "{type: ulzoo.vit.v1, width: 32, depth: 1, heads: 2, embedding_width: 32}"
_PIXEL_VIT = "{type: ulzoo.vit.v1, patch: 2, width: 32, depth: 1, heads: 2, embedding_width: 32}"

USUAL = {
    "dataset": "{type: ulzoo.digits.v1, size: 8}",
    "encoder": "{type: ulzoo.resnet.v1, patch: 2, channels: [16], blocks: [1], latent_channels: 2}",
    "network": _VIT,
    "pixel_network": _PIXEL_VIT,
    "schedule": "{type: ulzoo.linear.v1}",
    "weighting": "{type: ulzoo.sigmoid.v1, loss_factor: 3.0, bias: 5.0}",
    "conditioner": "{type: ulzoo.class_label.v1, width: 16}",
    "optimizer": "{type: ulzoo.adam.v1, learning_rate: 2e-3}",
    "sampler": "{type: ulzoo.ddim.v1, steps: 16}",
    "metric": "{type: ulzoo.psnr.v1, count: 100}",
    "prior": "{type: ulzoo.diffusion_prior.v1, network: NETWORK, schedule: SCHEDULE}",
    "decoder": "{type: ulzoo.diffusion_decoder.v1, network: PIXEL_NETWORK, weighting: WEIGHTING}",
    "base_model": "{type: ulzoo.diffusion_base.v1, network: NETWORK, conditioners: [CONDITIONER]}",
}

_FIELDS = {"encoder": ", latent_channels: 2", "network": ", width: 16", "sampler": ", steps: 16"}
"""Fields that a generated component of a kind requires."""


def fragments(kind: str, name: str) -> dict[str, str]:
    """Kind → YAML of its component in a spec that tries `name` out; of those that hold others, the lines."""
    own = {kind: f"{{type: {name}{_FIELDS.get(kind, '')}}}"}
    if kind == "network":
        own["pixel_network"] = own["network"]
    own["trackers"] = f"\ntrackers:\n  - {{type: {name}}}\n" if kind == "tracker" else ""
    if kind == "base_model":
        own["base_model"] = f"{{type: {name}, network: NETWORK}}"
    parts = USUAL | own
    for role in ("prior", "decoder", "base_model"):
        # One field a line: `{a: B, c: D}` would be too long for one once the components are in it.
        lines = parts[role][1:-1].replace(", ", "\n  ")
        for part in ("pixel_network", "network", "schedule", "weighting", "conditioner"):
            lines = lines.replace(f": {part.upper()}", f": {parts[part]}")
            lines = lines.replace(f"[{part.upper()}]", f"[{parts[part]}]")
        parts[role] = lines
    return parts
