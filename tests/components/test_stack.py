"""Scanned stacks: the function of a loop over the blocks, in a program of the same size at every depth."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from module_tools import abstract, equations, filled

import ulzoo.components.layers.stack as stack_module
from ulzoo.components.encoders.resnet import ResNetConfig
from ulzoo.components.layers.blocks import TransformerBlock, conv_stack
from ulzoo.components.layers.levels import Rescale
from ulzoo.components.layers.stack import Stack
from ulzoo.components.networks.uvit import UViTConfig
from ulzoo.components.networks.vit import ViTConfig
from ulzoo.interfaces import Condition, EncoderIO, NetworkIO
from ulzoo.traced import scan_inputs

GRID, WIDTH, EMBEDDING, DEPTH = (2, 2), 8, 4, 6


def make(remat=False):
    def block(key):
        return TransformerBlock(WIDTH, 2, GRID, EMBEDDING, 0.5, key=key)

    shapes = eqx.filter_eval_shape(lambda key: Stack(block, DEPTH, remat=remat, key=key), jax.random.key(0))
    return filled(shapes)


def run(stack, x, embedding, key):
    """Output and gradients with dropout."""
    loss = lambda stack, x: jnp.sin(stack(x, embedding, key=key)).sum()  # noqa: E731
    return stack(x, embedding, key=key), *jax.grad(loss, (0, 1))(stack, x)


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, WIDTH)).astype(np.float32)
    return x, rng.standard_normal(EMBEDDING).astype(np.float32), jax.random.key(5)


@pytest.fixture(scope="module")
def scanned(inputs):
    return jax.jit(run)(make(), *inputs)


def same(one, other):
    # The same operations in another order of fusion: float32 rounding of values of order 1 to 10.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4), one, other)


def test_a_deep_stack_is_a_scan_and_equals_a_loop_over_its_blocks(inputs, scanned):
    stack = make()
    x, embedding, key = inputs
    program = jax.make_jaxpr(lambda s: s(x, embedding, key=key))(stack)
    assert [e.primitive.name for e in program.eqns].count("scan") == 1

    @jax.jit
    def step(block, x, k):
        return block(x, embedding, k)

    keys = jax.random.split(key, DEPTH)
    for i in range(DEPTH):
        x = step(jax.tree.map(lambda leaf, i=i: leaf[i], stack.blocks), x, keys[i])
    same(scanned[0], x)


def test_written_out_it_is_the_same(inputs, scanned, monkeypatch):
    monkeypatch.setattr(stack_module, "LONGEST_UNROLLED", DEPTH)
    program = jax.make_jaxpr(lambda s: s(inputs[0], inputs[1], key=inputs[2]))(make())
    assert "scan" not in [e.primitive.name for e in program.eqns]
    same(scanned[0], jax.jit(lambda s, x, e, key: s(x, e, key=key))(make(), *inputs))


@pytest.mark.parametrize("remat", [True, "products"])
def test_recomputed_it_is_the_same(inputs, scanned, remat):
    value, grads, grad_x = jax.jit(run)(make(remat), *inputs)
    same(scanned[0], value)
    same(jax.tree.leaves(scanned[1]), jax.tree.leaves(grads))
    same(scanned[2], grad_x)


def test_dropout_needs_a_key(inputs):
    x, embedding, key = inputs
    stack = make()
    call = jax.jit(lambda key: stack(x, embedding, key=key))
    without = jax.jit(lambda: stack(x, embedding, key=None))()
    np.testing.assert_array_equal(call(key), call(key))
    assert np.abs(call(key) - without).max() > 1e-2
    assert np.abs(call(key) - call(jax.random.key(6))).max() > 1e-2


def test_no_blocks_are_the_identity():
    stack = Stack(lambda key: None, 0, key=jax.random.key(0))
    assert stack("anything", key=None) == "anything"


def network_of(depth):
    return ViTConfig(width=8, depth=depth, heads=2, embedding_width=8), NetworkIO((2, 4, 4))


def factorised_of(depth):
    config, _ = network_of(depth)
    return config.model_copy(update={"attention": "factorised"}), NetworkIO((2, 2, 4, 4))


def unet_of(depth):
    config = UViTConfig(channels=(8,), blocks=(depth,), width=8, depth=depth, heads=2, embedding_width=8)
    return config, NetworkIO((2, 8, 8))


def encoder_of(depth):
    return ResNetConfig(channels=(8, 8), blocks=(depth, depth), latent_channels=2), EncoderIO((2, 8, 8))


@pytest.mark.parametrize("make", [network_of, factorised_of, unet_of, encoder_of])
def test_programs_do_not_grow_with_depth(make):
    """Compile time follows the program's size. Forward and backward, at 8, 16 and 64 blocks."""

    def size(depth):
        config, io = make(depth)
        if isinstance(io, EncoderIO):
            x, args = io.data_shape, ()
        else:
            x, args = io.shape, (jnp.zeros(()), Condition())
        dynamic, static = eqx.partition(
            abstract(config, io), lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct)
        )

        def loss(dynamic, x):
            return eqx.combine(dynamic, static)(x, *args, key=jax.random.key(0)).sum()

        return equations(jax.make_jaxpr(jax.grad(loss))(dynamic, jax.ShapeDtypeStruct(x, "float32")).jaxpr)

    sizes = [size(depth) for depth in (8, 16, 64)]
    assert sizes[0] == sizes[1] == sizes[2]
    assert sizes[0] > 100


def test_the_conv_block_starts_as_the_identity():
    stack = conv_stack(2, 8, 1, 0, 0.0, remat=False, key=jax.random.key(0))
    x = np.random.default_rng(0).standard_normal((8, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(stack(jnp.asarray(x), None, key=None), x)


def test_the_residual_u_carries_only_what_the_coarser_levels_added():
    rescale = filled(eqx.filter_eval_shape(lambda k: Rescale(3, 5, (2, 1), key=k), jax.random.key(0)))
    rescale = eqx.tree_at(lambda r: r.up_linear.bias, rescale, jnp.zeros(3))
    h_b = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4, 2)), jnp.float32)
    h_a = rescale.down(h_b)
    assert h_a.shape == (5, 2, 2)
    expected = np.einsum("oi,ihw->ohw", rescale.down_linear.weight, h_b.reshape(3, 2, 2, 2).mean(2))
    # Float32 sums of three products of order 1.
    np.testing.assert_allclose(h_a, expected + rescale.down_linear.bias[:, None, None], atol=1e-5)
    # Levels below that change nothing leave h_b as it is, whatever the weights.
    np.testing.assert_array_equal(rescale.up(h_a, h_a, h_b), h_b)
    added = rescale.up(h_a + 1.0, h_a, h_b) - h_b
    # h + 1 − h in float32 is 1 to a few roundings.
    np.testing.assert_allclose(
        added, np.broadcast_to(rescale.up_linear.weight.sum(1)[:, None, None], h_b.shape), atol=1e-5
    )


def test_a_scan_keeps_products_and_masks_alone(inputs):
    """Whatever else the backward pass needs is cheap, and would be copied into the scan's results."""
    x, embedding, key = inputs
    program = jax.make_jaxpr(jax.grad(lambda s: jnp.sin(s(x, embedding, key=key)).sum()))(make())
    forward = next(e for e in program.eqns if e.primitive.name == "scan")
    kept = [out.aval for out in forward.outvars[scan_inputs(forward)[1] :]]
    n, heads = x.shape[0], 2
    shapes = sorted((out.shape[1:] for out in kept if out.dtype == np.float32), key=lambda s: (len(s), s))
    # Of a block: its input; modulation; queries, keys and values; logits; mixture; what `out`, `up` and
    # `down` give. Weights of attention and activations are computed again.
    allowed = {
        (n, WIDTH),
        (6 * WIDTH,),
        (n, 3 * WIDTH),
        (heads, n, n),
        (n, heads, WIDTH // heads),
        (n, 4 * WIDTH),
    }
    assert set(shapes) <= allowed, shapes
    # Logits; and the mixture, whose heads are as wide here as there are tokens.
    assert shapes.count((heads, n, n)) == 2, shapes
    assert shapes.count((n, 4 * WIDTH)) == 1
    assert {out.shape[1:] for out in kept if out.dtype == bool} == {(n, WIDTH), (n, 4 * WIDTH)}


def test_products_are_kept_where_they_are_asked_for(inputs):
    """Between keeping everything and nothing: what weights give is not computed twice, attention is."""
    x, embedding, key = inputs
    loss = lambda stack, x: jnp.sin(jax.vmap(lambda x: stack(x, embedding, key=key))(x)).sum()  # noqa: E731

    def products(remat):
        program = str(jax.make_jaxpr(jax.grad(loss))(make(remat), jnp.stack([x, x])))
        return program.count("dot_general[")

    kept, some, none = products(False), products("products"), products(True)
    assert kept < some < none
    # Of each block: attention's logits and mixture again, nothing more.
    assert some == kept + 2
