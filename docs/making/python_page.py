"""The page of the Python API: the public names of `ulzoo`, their docstrings set by mkdocstrings.

In the repository nothing sets docstrings; there the tables still say what each name is.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import ulzoo

# In the order of use; a name that is in none of these stops the generation.
SECTIONS = {
    "Specs": (
        "Spec",
        "load_spec",
        "parse_spec",
        "dump_yaml",
        "spec_hash",
        "Registry",
        "json_schema",
        "explain",
        "Explanation",
    ),
    "From a spec to modules": ("assemble", "Assembly", "inspect", "Autoencoder"),
    "Training": ("stage1", "stage2", "Program", "batches", "train"),
    "Measuring and sampling": ("rates", "reconstruct", "generate", "keys_for", "to_model", "to_images"),
    "Costs": ("plan", "Plan"),
    "Runs": ("create_run", "run_all", "Experiment", "Run", "spec_of", "evaluation_of"),
    "Weights and functions for others": (
        "weights_of",
        "Weights",
        "save_weights",
        "load_weights",
        "export_functions",
    ),
    "Errors": ("UlzooError",),
}
OPTIONS = {"Spec": "members: false"}
"""Fields of a spec are in its own reference, with bounds and defaults."""


def python_page() -> str:
    """The page's text.

    Raises:
        ValueError: a public name stands in no section, or one in a section is not public.
    """
    placed = [name for names in SECTIONS.values() for name in names]
    if sorted(placed) != sorted(ulzoo.__all__):
        raise ValueError(
            f"docs/making/python_page.py: {set(placed) ^ set(ulzoo.__all__)} must be in one section"
        )
    lines = [
        "# Python",
        "",
        "`import ulzoo` is light: names load on first use, and with them what they need."
        " How they go together: [use it from Python](../how-to/python.md).",
        "",
        "The contracts that components keep are in `ulzoo.interfaces`, the mathematics is in"
        " `ulzoo.diffusion`, reports are in `ulzoo.report`, and what checks components in `ulzoo.testing`.",
        "",
    ]
    for title, names in SECTIONS.items():
        lines += [f"## {title}", "", "| name | |", "|---|---|"]
        lines += [f"| `ulzoo.{name}` | {_summary(getattr(ulzoo, name))} |" for name in names]
        lines += [""]
        for name in names:
            lines += [f"::: {_place(getattr(ulzoo, name))}", "    options:", "      heading_level: 3"]
            lines += [f"      {OPTIONS[name]}"] if name in OPTIONS else []
            lines += [""]
    return "\n".join(lines)


def _place(value: Any) -> str:
    """Where it is defined: a module and the function in it may share a name in the package."""
    return f"{sys.modules[value.__module__].__name__}.{value.__qualname__}"


def _summary(value: Any) -> str:
    first = (inspect.getdoc(value) or "").split("\n\n")[0]
    return " ".join(first.split()).replace("|", "\\|")
