"""What must be quick loads neither JAX nor NumPy, shown in a process of its own."""

import subprocess
import sys
from pathlib import Path

from fake_site import SPEC

import ulzoo

PROGRAM = """
import sys
import ulzoo
from ulzoo.cli.components import component_page, components_table
from ulzoo.registry import Registry
from ulzoo.spec import check_structure, dump_yaml, load_spec, spec_hash

site, spec = sys.argv[1:]
sys.path.insert(0, site)
registry = Registry([site])
check_structure(spec, ["stage1.steps=200"], registry)
print(components_table(registry))
assert "fake_acme" not in sys.modules
component_page(registry, "acme.conv.v2")
loaded = load_spec(spec, registry=registry)
spec_hash(loaded), dump_yaml(loaded)
loaded = {name.partition(".")[0] for name in sys.modules}
heavy = loaded & {"jax", "jaxlib", "numpy", "equinox", "optax", "grain"}
assert not heavy, heavy
"""


def test_structure_components_and_import_load_neither_jax_nor_numpy(fake_folder, tmp_path):
    spec = tmp_path / "tiny.yaml"
    spec.write_text(SPEC)
    root = Path(ulzoo.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(fake_folder), str(spec)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "acme.conv.v2" in done.stdout
