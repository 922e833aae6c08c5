"""The last training state of a small run, for comparisons bit by bit."""

import jax
import numpy as np

from ulzoo.checkpoint import Checkpoints
from ulzoo.experiment import Experiment
from ulzoo.restoring import checkpoint_manifest
from ulzoo.run import Run
from ulzoo.stages import spec_of


def state_arrays(directory, stage):
    """Every leaf of the final checkpoint as raw bytes."""
    with Run.open(directory) as run:
        experiment = Experiment.of(spec_of(run))
        checkpoints = Checkpoints(run.checkpoints(stage), read_only=True)
    assert checkpoints.latest() == 40
    manifest = checkpoint_manifest(experiment.spec, stage)
    state = checkpoints.restore(40, experiment.program(stage).abstract_state, manifest)
    leaves = jax.tree_util.tree_leaves_with_path(state)
    data = {
        jax.tree_util.keystr(path): jax.random.key_data(leaf)
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else leaf
        for path, leaf in leaves
    }
    return {name: np.asarray(leaf) for name, leaf in data.items()}
