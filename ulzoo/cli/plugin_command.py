"""`ulzoo plugin new NAME DIR --kind KIND`."""

from __future__ import annotations

import argparse

from ulzoo.skeleton.write import Names, write_plugin


def run(arguments: argparse.Namespace) -> None:
    folder = write_plugin(arguments.name, arguments.directory, arguments.kind)
    name = Names.of(arguments.name).name
    print(f"{folder}: a distribution with the {arguments.kind} {name}; next:")
    print(f"    python -m pip install -e {folder}")
    print(f"    ulzoo run {folder}/specs/digits.yaml")
    print(f"    pytest --ulzoo {name}")
