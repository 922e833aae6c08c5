"""The fenced blocks of a Markdown page."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The README's model at the least size that has every part: what is shown is tested, not how well it learns.
_NETWORK = "{type: ulzoo.vit.v1, width: 8, depth: 1, heads: 2, embedding_width: 8}"
TINY = [
    "data.size=8",
    "encoder.channels=[8]",
    "encoder.blocks=[1]",
    f"prior.network={_NETWORK}",
    f"decoder.network={_NETWORK}",
    f"base_model.network={_NETWORK}",
    "stage1={steps: 2, batch_size: 4, rate_warmup_steps: 1}",
    "stage2={steps: 2, batch_size: 4}",
    "sample.count=10",
    "sample.sampler.steps=2",
    "sample.decoder_sampler.steps=2",
    "evaluate=[]",
]


def pages() -> list[Path]:
    """README and every page under docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: str, language: str) -> list[str]:
    """Contents of the page's blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
