"""Templates to pages: everything is escaped but what this package drew itself."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

MARK = '<meta name="generator" content="ulzoo'
"""What tells a page of ours from another file of its name."""


def render(template: str, **values: Any) -> str:
    """A page from one of the package's templates."""
    environment = Environment(
        loader=PackageLoader("ulzoo.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    return environment.get_template(template).render(version=_version(), **values)


def breakable(name: object) -> Markup:
    """A dotted name that narrow columns may break after its dots and low lines, and not inside a word."""
    return Markup(re.sub(r"([._])(?=\w)", r"\1<wbr>", str(escape(name))))


def _version() -> str:
    try:
        return version("ulzoo")
    except PackageNotFoundError:
        return "of a checkout"
