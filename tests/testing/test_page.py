"""The plugin page names every check, and what it shows works."""

import re
from pathlib import Path

from ulzoo.registry import Registry
from ulzoo.testing.kinds import MODULES, OTHERS, checks_of

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "plugin.md").read_text()


def test_every_check_is_on_the_page():
    rows = "\n".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    told = set(re.findall(r"`(\w+)`", rows))
    assert {name for kind in (*MODULES, *OTHERS) for name in checks_of(kind)} <= told


def test_its_calls_work(builtin_registry, monkeypatch):
    monkeypatch.setattr(Registry, "discover", classmethod(lambda cls: builtin_registry))
    (block,) = (text for text in re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S) if "testing" in text)
    exec(block, {})
