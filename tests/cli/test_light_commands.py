"""Commands that must be quick load no JAX, and mistakes of structure are told before JAX is loaded."""

import subprocess
import sys

import pytest
from small_run import SPEC, write_spec

HEAVY = "{'jax', 'jaxlib', 'numpy', 'equinox', 'optax', 'grain', 'orbax'}"

LIGHT = f"""
import sys
from ulzoo.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
loaded = {{name.partition(".")[0] for name in sys.modules}} & {HEAVY}
assert not loaded, loaded
sys.exit(status)
"""

FIRST_WORDS = f"""
import sys
from ulzoo.cli import main

class Watched:
    def __init__(self, stream):
        self.stream = stream
    def write(self, text):
        loaded = {{name.partition(".")[0] for name in sys.modules}} & {HEAVY}
        return self.stream.write(f"[JAX {{bool(loaded)}}] {{text}}" if text.strip() else text)
    def flush(self):
        self.stream.flush()

sys.stderr = Watched(sys.stderr)
sys.exit(main(sys.argv[1:]))
"""


def python(program, *arguments):
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "status", "shows"),
    [
        (["--help"], 0, "JAX_COMPILATION_CACHE_DIR"),
        (["run", "--help"], 0, "--resume DIR"),
        (["--version"], 0, "ulzoo "),
        (["components"], 0, "ulzoo.diffusion_prior.v1"),
        (["run", "no-such.yaml"], 2, "no-such.yaml"),
        (["check", "no-such.yaml"], 2, "no-such.yaml"),
        (["run", "--resume", "no-such-run"], 2, "no-such-run: no such run directory"),
        (["sample", "no-such-run"], 2, "no-such-run: no such run directory"),
    ],
)
def test_no_jax(arguments, status, shows):
    done = python(LIGHT, *arguments)
    assert done.returncode == status, done.stderr
    assert shows in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_structure_comes_first_and_the_rest_in_the_same_call(tmp_path):
    text = SPEC.replace("steps: 40, batch_size", "stps: 40, batch_size", 1).replace(
        "width: 8,", "wdth: 8,", 1
    )
    path = write_spec(tmp_path, text.replace("ulzoo.normal_prior.v1", "ulzoo.norml_prior.v1"))
    done = python(FIRST_WORDS, "check", path)
    assert done.returncode == 2
    first, _, rest = done.stderr.partition("[JAX True]")
    assert first.startswith("[JAX False]")
    assert "stage1.stps: unknown field; did you mean 'steps'?" in first
    assert "did you mean 'ulzoo.normal_prior.v1'" in first
    assert "decoder.network.wdth: unknown field; did you mean 'width'?" in rest
    assert "stage1.stps" not in rest
