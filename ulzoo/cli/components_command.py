"""`ulzoo components [NAME]`."""

from __future__ import annotations

import argparse

from ulzoo.cli.components import component_page, components_table
from ulzoo.registry import Registry


def run(arguments: argparse.Namespace) -> None:
    registry = Registry.discover()
    if arguments.name:
        print(component_page(registry, arguments.name))
    else:
        print(components_table(registry, load=arguments.load))
