"""`ulzoo plugin new NAME DIR --kind KIND`."""

from __future__ import annotations

import argparse

from ulzoo.skeleton.write import Names, spec_file, write_plugin


def run(arguments: argparse.Namespace) -> None:
    folder = write_plugin(arguments.name, arguments.directory, arguments.kind)
    name = Names.of(arguments.name).name
    print(f"{folder}: a distribution with the {arguments.kind} {name}; next:")
    print(f"    python -m pip install -e {folder}")
    print(f"    ulzoo run {folder}/{spec_file(arguments.kind)}")
    print(f"    pytest --ulzoo {name}")
