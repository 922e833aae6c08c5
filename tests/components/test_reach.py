"""Factorised, windowed and causal attention are full attention with a mask, and cost less."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from module_tools import abstract, filled
from pydantic import ValidationError

import ulzoo.components.layers.stack as stack_module
from ulzoo.components.layers.attention import Attention
from ulzoo.components.layers.blocks import transformer_stack
from ulzoo.components.layers.reach import Reach
from ulzoo.components.networks.uvit import UViTConfig
from ulzoo.components.networks.vit import ViTConfig
from ulzoo.components.networks.vit2 import LevelConfig, ViT2Config
from ulzoo.errors import InterfaceError
from ulzoo.flops import count_flops
from ulzoo.interfaces import Condition, NetworkIO

WIDTH, HEADS = 16, 2

CASES = [
    # attention, window, grid, causal
    ("full", None, (3, 2, 2), True),
    ("factorised", None, (3, 2, 4), False),
    ("factorised", None, (3, 2, 4), True),
    ("factorised", None, (3, 5), False),
    ("windowed", (2, 2, 2), (4, 4, 2), False),
    # Neither extent is a multiple of its edge, and in time a window is one frame.
    ("windowed", (1, 3, 2), (2, 5, 5), False),
    ("windowed", (3, 2, 2), (5, 2, 4), True),
    ("windowed", 2, (5, 4), False),
]


def allowed(attention, window, grid, causal, turn):
    """Which position attends to which, from the definition: bool (n, n)."""
    edges = (window,) * len(grid) if isinstance(window, int) else window

    def together(p, q):
        if causal and q[0] > p[0]:
            return False
        if attention == "full":
            return True
        if attention == "factorised":
            return p[0] == q[0] if turn == 0 else p[1:] == q[1:]
        for a, b, edge, extent in zip(p, q, edges, grid, strict=True):
            offset = edge // 2 if turn and edge < extent else 0
            if (a - offset) // edge != (b - offset) // edge:
                return False
        return True

    places = list(np.ndindex(*grid))
    return np.array([[together(p, q) for q in places] for p in places])


def dense(attention, tokens, grid, mask):
    """The whole layer in float64, every query against every key."""
    head, wide = WIDTH // HEADS, tokens.astype(np.float64)
    shares = [head // 2 // len(grid) + (i < head // 2 % len(grid)) for i in range(len(grid))]
    angles = np.array(
        [
            [at * 100 ** (-i / n) for at, n in zip(p, shares, strict=True) for i in range(n)]
            for p in np.ndindex(*grid)
        ]
    )

    def turned(x, weight):
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * np.asarray(weight, np.float64)
        z = (x[:, : head // 2] + 1j * x[:, head // 2 :]) * np.exp(1j * angles)
        return np.concatenate([z.real, z.imag], -1)

    mixed = []
    q, k, v = np.split(wide @ np.asarray(attention.qkv.weight, np.float64).T, 3, -1)
    for h in range(HEADS):
        part = slice(h * head, (h + 1) * head)
        logits = turned(q[:, part], attention.norm_q.weight) @ turned(k[:, part], attention.norm_k.weight).T
        weights = np.where(mask, np.exp(logits / np.sqrt(head)), 0)
        mixed.append(weights / weights.sum(-1, keepdims=True) @ v[:, part])
    return np.concatenate(mixed, -1) @ np.asarray(attention.out.weight, np.float64).T + attention.out.bias


def layer(attention, window, grid, causal):
    reach = Reach.of(attention, window, grid, causal=causal)
    rng = np.random.default_rng(0)
    made = Attention(WIDTH, HEADS, grid, reach, key=jax.random.key(0))
    return jax.tree.map(lambda leaf: leaf + 0.3 * rng.standard_normal(leaf.shape, np.float32), made)


@pytest.mark.parametrize(("attention", "window", "grid", "causal"), CASES)
def test_it_is_full_attention_with_a_mask(attention, window, grid, causal):
    module = layer(attention, window, grid, causal)
    tokens = np.random.default_rng(1).standard_normal((int(np.prod(grid)), WIDTH)).astype(np.float32)
    run = jax.jit(lambda m, x: [m(x, turn) for turn in range(m.reach.turns)])
    for turn, got in enumerate(run(module, tokens)):
        expected = dense(module, tokens, grid, allowed(attention, window, grid, causal, turn))
        # Float32 through three matrix products and a softmax on values of order 1.
        np.testing.assert_allclose(got, expected, atol=2e-5)
    assert module.reach.turns == (1 if attention == "full" else 2)


def test_a_shorter_clip_is_attended_to_in_the_same_way():
    module = layer("windowed", (2, 2, 2), (4, 4, 2), True)
    tokens = np.random.default_rng(1).standard_normal((8, WIDTH)).astype(np.float32)
    for turn, got in enumerate(jax.jit(lambda m, x: [m(x, 0), m(x, 1)])(module, tokens)):
        mask = allowed("windowed", (2, 2, 2), (1, 4, 2), True, turn)
        np.testing.assert_allclose(got, dense(module, tokens, (1, 4, 2), mask), atol=2e-5)


def test_blocks_take_turns_scanned_or_written_out(monkeypatch):
    grid, depth = (2, 2, 2), 7
    shapes = eqx.filter_eval_shape(
        lambda key: transformer_stack(
            8, 2, grid, 4, 0.5, depth, Reach.of("factorised", None, grid), remat=False, key=key
        ),
        jax.random.key(0),
    )
    stack = filled(shapes)
    rng = np.random.default_rng(1)
    x, embedding = rng.standard_normal((8, 8)).astype(np.float32), rng.standard_normal(4).astype(np.float32)
    key = jax.random.key(3)
    # A fresh function each time: a cached program would not see the monkeypatch.
    scanned = jax.jit(lambda s: s(x, embedding, key=key))(stack)
    step = jax.jit(lambda block, x, k, turn: block(x, embedding, k, turn), static_argnums=3)
    expected = x
    for i, k in enumerate(jax.random.split(key, depth)):
        expected = step(jax.tree.map(lambda leaf, i=i: leaf[i], stack.blocks), expected, k, i % 2)
    # The same operations in another order of fusion: float32 rounding of values of order 1 to 10.
    np.testing.assert_allclose(scanned, expected, atol=1e-4, rtol=1e-4)
    monkeypatch.setattr(stack_module, "LONGEST_UNROLLED", depth)
    written = jax.jit(lambda s: s(x, embedding, key=key))(stack)
    np.testing.assert_allclose(written, expected, atol=1e-4, rtol=1e-4)


def vit(attention, window=None, depth=4):
    return ViTConfig(
        width=16, depth=depth, heads=2, patch=(1, 2, 2), embedding_width=8, attention=attention, window=window
    )


def test_flops_are_those_of_the_windows():
    # A grid of 4 × 4 × 4 tokens.
    shape, n, width, depth = (2, 4, 8, 8), 64, 16, 4

    def flops(config):
        z, t = jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct((), jnp.float32)
        module = abstract(config, NetworkIO(shape))
        return count_flops(lambda m, z, t: m(z, t, Condition()), module, z, t)

    def attended(sizes):
        # Logits and mixture: 2 products of n × m × width each, 2 FLOPs per multiply-add.
        return sum(4 * n * m * width for m in sizes)

    full = flops(vit("full"))
    rest = full - attended([n] * depth)
    assert rest > 0
    assert flops(vit("factorised")) == rest + attended([16, 4] * 2)
    assert flops(vit("windowed", (2, 2, 4))) == rest + attended([16] * depth)


def of_vit(attention, window):
    return vit(attention, window), (2, 4, 8, 8)


def of_vit2(attention, window):
    levels = (
        LevelConfig(width=16, depth=3, heads=2, attention=attention, window=window),
        LevelConfig(width=16, depth=2, heads=2, factor=(1, 2, 2)),
    )
    return ViT2Config(levels=levels, embedding_width=8, patch=(1, 2, 2)), (2, 4, 8, 8)


def of_uvit(attention, window):
    return UViTConfig(
        channels=(8,),
        blocks=(0,),
        width=16,
        depth=2,
        heads=2,
        patch=1,
        factors=((1, 2, 2),),
        embedding_width=8,
        attention=attention,
        window=window,
    ), (2, 4, 8, 8)


@pytest.mark.parametrize("of", [of_vit, of_vit2, of_uvit])
def test_networks_have_it_with_the_same_parameters(of):
    ways = [("full", None), ("factorised", None), ("windowed", (2, 2, 4))]
    shapes, outputs = [], []
    for attention, window in ways:
        config, shape = of(attention, window)
        network = filled(abstract(config, NetworkIO(shape)))
        z = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
        outputs.append(jax.jit(lambda n, z: n(z, jnp.asarray(1.0), Condition()))(network, z))
        shapes.append([leaf.shape for leaf in jax.tree.leaves(network)])
    assert shapes[0] == shapes[1] == shapes[2]
    # What is compared here is not rounding: attention reaches other tokens.
    for one, other in itertools.combinations(outputs, 2):
        assert np.abs(np.asarray(one) - other).max() > 1e-3


def test_what_does_not_fit_is_named():
    with pytest.raises(InterfaceError, match=r"^window: windows of \(2, 8, 2\) are larger than"):
        abstract(vit("windowed", (2, 8, 2)), NetworkIO((2, 4, 8, 8)))
    with pytest.raises(InterfaceError, match=r"^window: \[2, 2\] has 2 entries"):
        abstract(vit("windowed", (2, 2)), NetworkIO((2, 4, 8, 8)))
    with pytest.raises(InterfaceError, match=r"^levels.0.window: windows of"):
        abstract(of_vit2("windowed", 5)[0], NetworkIO((2, 4, 8, 8)))
    with pytest.raises(InterfaceError, match=r"^attention: one axis"):
        Reach.of("factorised", None, (4,))
    for fields in ({"attention": "windowed"}, {"window": 2}):
        with pytest.raises(ValidationError, match="a window belongs to attention: windowed"):
            ViTConfig(width=8, depth=1, **fields)
