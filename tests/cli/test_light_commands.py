"""Commands that must be quick load no JAX, and mistakes are told before JAX is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest
from small_run import SPEC, write_spec

ROOT = Path(__file__).parents[2]

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
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)


@pytest.mark.parametrize(
    ("arguments", "status", "shows"),
    [
        (["--help"], 0, "JAX_COMPILATION_CACHE_DIR"),
        (["run", "--help"], 0, "--resume DIR"),
        (["--version"], 0, "ulzoo "),
        (["components"], 0, "ulzoo.diffusion_prior.v1"),
        (["schema"], 0, '"ulzoo.diffusion_prior.v1"'),
        (["show", "specs/digits.yaml"], 0, "# specs/digits.yaml:"),
        (["diff", "specs/digits.yaml", "specs/imagenet512/ul-small.yaml"], 0, "two experiments"),
        (["show", "specs/digits.yaml", "--set", "encoder.chanels=1"], 2, "did you mean 'channels'?"),
        (["check", "specs/digits.yaml", "--set", "silence={UL099: x}"], 2, "no rule has the code 'UL099'"),
        (["run", "no-such.yaml"], 2, "no-such.yaml"),
        (["check", "no-such.yaml"], 2, "no-such.yaml"),
        (["run", "--resume", "no-such-run"], 2, "no-such-run: no such run directory"),
        (["sample", "no-such-run"], 2, "no-such-run: no such run directory"),
        (["compare", "no-such-run", "another"], 2, "no-such-run: no such run directory"),
        (["weights", "list"], 0, "licence: "),
    ],
)
def test_no_jax(arguments, status, shows):
    done = python(LIGHT, *arguments)
    assert done.returncode == status, done.stderr
    assert shows in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_all_mistakes_are_one_list_sorted_by_place_and_told_before_jax(tmp_path):
    text = SPEC.replace("steps: 40, batch_size", "stps: 40, batch_size", 1).replace(
        "width: 8,", "wdth: 8,", 1
    )
    path = write_spec(tmp_path, text.replace("ulzoo.normal_prior.v1", "ulzoo.norml_prior.v1"))
    done = python(FIRST_WORDS, "check", path)
    assert done.returncode == 2
    assert "[JAX True]" not in done.stderr
    told = [
        line for line in done.stderr.removeprefix("[JAX False] ").splitlines() if line.startswith(str(path))
    ]
    assert [line.split(": ", 1)[1].partition(" (")[0] for line in told] == [
        "prior.type: no prior named 'ulzoo.norml_prior.v1'; did you mean 'ulzoo.normal_prior.v1'",
        "decoder.network.width: missing",
        "decoder.network.wdth: unknown field; did you mean 'width'?",
        "stage1.steps: missing",
        "stage1.stps: unknown field; did you mean 'steps'?",
    ]
