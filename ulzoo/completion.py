"""Clips that a trained base model makes from given frames."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ulzoo.errors import RunError
from ulzoo.interfaces import AbstractBase, AbstractGridConditioner, SamplerIO
from ulzoo.parallel.mesh import fetch
from ulzoo.programs.generate import generate
from ulzoo.programs.measure import keys_for
from ulzoo.programs.program import to_model

if TYPE_CHECKING:
    from ulzoo.evaluation import TrainedEvaluation


def complete(
    evaluation: TrainedEvaluation, clips: Any, given: np.ndarray, keys: Any, labels: Any = None
) -> np.ndarray:
    """Clips made by the base model from the frames that `given`, bool (t,), names.

    Args:
        clips: uint8 (b, t, h, w, c), on the mesh; what is not given is not looked at.
        keys: (b,): the noise of each.
        labels: int32 (b,), for base models that are told the class; None leaves it open.

    Raises:
        RunError: there is no base model, or it takes no frames.
    """
    base, sample = evaluation.base, evaluation.sample
    if base is None or not takes_frames(base):
        raise RunError("the base model takes no frames: it needs the conditioner ulzoo.given_frames.v1")
    raw = {"x": to_model(jnp.asarray(clips)), "given": jnp.broadcast_to(given, (len(clips), len(given)))}
    if labels is not None:
        raw["label"] = labels
    images = generate(
        evaluation.autoencoder,
        base,
        raw,
        evaluation.latent_shape,
        sample.sampler.build(SamplerIO(), key=None),
        sample.decoder_sampler.build(SamplerIO(), key=None),
        keys,
        sample.guidance.scale,
        sample.guidance.log_snr_interval,
    )
    return fetch(images)


def prolong(
    evaluation: TrainedEvaluation,
    clip: np.ndarray,
    frames: int,
    overlap: int,
    key: Any,
    label: Any = None,
) -> np.ndarray:
    """A clip of any length from its beginning, uint8 (frames, h, w, c): each chunk of the trained length goes
    on from the last frames of the one before.

    The device holds one chunk at a time.

    Args:
        clip: uint8 (g, h, w, c), the given beginning, fewer frames than the trained length.
        overlap: frames that a later chunk is given, fewer than the trained length.
        key: the noise; each chunk has a part of it of its own.
        label: int32 (1,), for base models that are told the class; None leaves it open.

    Raises:
        RunError: there is no base model, or it takes no frames.
        ValueError: no frame is given, or as many as a chunk has.
    """
    length = evaluation.assembly.data.shape[1]
    if not (0 < len(clip) < length and 0 < overlap < length):
        raise ValueError(f"1 to {length - 1} frames can be given, got {len(clip)} and then {overlap}")
    made, known = [clip], clip
    for number in itertools.count():
        rest = np.zeros((length - len(known), *clip.shape[1:]), np.uint8)
        chunk, given = np.concatenate([known, rest]), np.arange(length) < len(known)
        keys = jax.random.fold_in(key, number)[None]
        fresh = complete(evaluation, chunk[None], given, keys, label)[0, len(known) :]
        made.append(fresh)
        if sum(map(len, made)) >= frames:
            break
        known = np.concatenate([known, fresh])[-overlap:]
    return np.concatenate(made)[:frames]


def lengthened(
    evaluation: TrainedEvaluation,
    clips: np.ndarray,
    frames: int,
    overlap: int,
    seed: int,
    labels: np.ndarray | None = None,
) -> np.ndarray:
    """Clips of the trained length that go on to `frames`, uint8 (n, frames, h, w, c), as `prolong` does it;
    the i-th depends on its clip, seed, i and its label alone.

    Args:
        clips: uint8 (n, t, h, w, c).
        overlap: frames that each further chunk is given, fewer than t.
        labels: int32 (n,), for base models that are told the class.

    Raises:
        RunError: there is no base model, or it takes no frames.
        ValueError: no frame is given, or as many as a chunk has.
    """
    length, made = clips.shape[1], []
    # Not a part that drawing the clip itself has used: it splits its key in two.
    keys = jax.vmap(lambda key: jax.random.fold_in(key, 2))(keys_for(seed, np.arange(len(clips))))
    for i, clip in enumerate(clips):
        label = None if labels is None else labels[i : i + 1]
        rest = frames - length + overlap
        end = prolong(evaluation, clip[length - overlap :], rest, overlap, keys[i], label)
        made.append(np.concatenate([clip[: length - overlap], end]))
    return np.stack(made)


def usual_frames(base: AbstractBase | None) -> np.ndarray | None:
    """The frames, bool (t,), that a base model was first of all trained to go on from; None if none."""
    masks = [getattr(each, "masks", None) for each in getattr(base, "conditioners", ())]
    return next((np.array(found[0]) for found in masks if found), None)


def takes_frames(base: AbstractBase) -> bool:
    """Whether a base model goes on from given frames."""
    return any(isinstance(each, AbstractGridConditioner) for each in getattr(base, "conditioners", ()))
