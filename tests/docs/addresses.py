"""What the pages link to, and what the site's configuration lists."""

from __future__ import annotations

import re

import yaml
from blocks import ROOT, pages

# Hosts that pages may send readers to. Addresses are listed, never fetched: no test needs a network.
HOSTS = {
    "arxiv.org",
    "github.com",
    "keepachangelog.com",
    "pre-commit.com",
    "semver.org",
}
_ADDRESS = re.compile(r"https?://[^\s)>\]\"'`]+")


def external_links() -> dict[str, list[str]]:
    """Address → pages that have it; the files beside the pages too."""
    found: dict[str, list[str]] = {}
    for page in [*pages(), ROOT / "docs/CITATION.cff"]:
        for address in _ADDRESS.findall(page.read_text()):
            found.setdefault(address.rstrip(".,"), []).append(str(page.relative_to(ROOT)))
    return found


def navigation() -> list[str]:
    """Pages in the site's menu, in order."""

    def leaves(part: object) -> list[str]:
        if isinstance(part, str):
            return [part]
        parts = part if isinstance(part, list) else part.values()
        return [leaf for inner in parts for leaf in leaves(inner)]

    return leaves(yaml.safe_load((ROOT / ".mkdocs.yml").read_text())["nav"])


if __name__ == "__main__":
    for address, where in sorted(external_links().items()):
        print(address, *sorted(set(where)))
