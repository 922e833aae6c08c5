"""`ulzoo components [NAME]`."""

from __future__ import annotations

import argparse

from ulzoo.cli.components import component_page, components_table
from ulzoo.registry import Registry


def run(arguments: argparse.Namespace) -> None:
    registry = Registry.discover()
    print(component_page(registry, arguments.name) if arguments.name else components_table(registry))
