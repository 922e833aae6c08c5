import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from ulzoo.flops import count_flops, count_parameters


def shape(*axes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(axes, dtype)


def test_matrix_product_is_2mnk():
    assert count_flops(jnp.matmul, shape(3, 5), shape(5, 7)) == 2 * 3 * 5 * 7


def test_batched_contraction_counts_every_axis_once():
    def fn(q, k):
        return jnp.einsum("bhid,bhjd->bhij", q, k)

    assert count_flops(fn, shape(2, 3, 11, 5), shape(2, 3, 13, 5)) == 2 * (2 * 3) * 11 * 13 * 5


def test_everything_else_is_free():
    assert count_flops(lambda x: jnp.exp(x).sum() + jnp.sort(x)[0], shape(100)) == 0


@pytest.mark.parametrize(
    ("name", "fn", "expected"),
    [
        ("jit", lambda f: jax.jit(f), 1),
        ("nested jit", lambda f: jax.jit(jax.jit(f)), 1),
        ("filter_jit", lambda f: eqx.filter_jit(f), 1),
        ("checkpoint", lambda f: jax.checkpoint(f), 1),
        ("vmap", lambda f: lambda x: jax.vmap(f)(jnp.stack([x] * 4)), 4),
        ("scan", lambda f: lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=6)[0], 6),
        ("fori", lambda f: lambda x: lax.fori_loop(0, 5, lambda _, c: f(c), x), 5),
        (
            "scan in scan",
            lambda f: (
                lambda x: lax.scan(
                    lambda c, _: (lax.scan(lambda d, _: (f(d), None), c, None, length=2)[0], None),
                    x,
                    None,
                    length=3,
                )[0]
            ),
            6,
        ),
        ("cond takes the dearest", lambda f: lambda x: lax.cond(x[0, 0] > 0, lambda y: f(f(y)), f, x), 2),
        ("twice", lambda f: lambda x: f(x) + f(2 * x), 2),
    ],
)
def test_sees_into_and_multiplies(name, fn, expected):
    def square(x):
        return x @ x

    assert count_flops(fn(square), shape(8, 8)) == expected * 2 * 8**3


def test_custom_derivatives_count_the_function_once():
    @jax.custom_jvp
    def a(x):
        return x @ x

    a.defjvp(lambda primals, tangents: (a(primals[0]), tangents[0] @ primals[0]))

    @jax.custom_vjp
    def b(x):
        return x @ x

    b.defvjp(lambda x: (b(x), x), lambda x, g: (g @ x + x @ g,))
    assert count_flops(lambda x: a(x) + b(x), shape(8, 8)) == 2 * 2 * 8**3


def test_gradient_of_a_linear_layer_is_three_times_forward():
    def loss(w, x):
        return ((x @ w) ** 2).sum()

    forward = 2 * 16 * 8 * 4
    assert count_flops(loss, shape(8, 4), shape(16, 8)) == forward
    assert count_flops(jax.grad(loss, argnums=(0, 1)), shape(8, 4), shape(16, 8)) == 3 * forward


def test_recomputation_is_counted():
    # One block's forward, its recomputation, and two products for the gradients.
    def loss(w, x):
        return jnp.tanh(jax.checkpoint(lambda y: jnp.tanh(y @ w) @ w)(x)).sum()

    def plain(w, x):
        return jnp.tanh(jnp.tanh(x @ w) @ w).sum()

    product = 2 * 16 * 8 * 8
    assert count_flops(jax.grad(plain), shape(8, 8), shape(16, 8)) == (2 + 3) * product
    assert count_flops(jax.grad(loss), shape(8, 8), shape(16, 8)) == (2 + 3 + 1) * product


def convolution(x, w, **options):
    return lax.conv_general_dilated(x, w, **options)


@pytest.mark.parametrize(
    ("x", "w", "options", "expected"),
    [
        # out positions · out channels · in channels · taps; batch 2
        ((2, 3, 8, 8), (5, 3, 3, 3), {"window_strides": (1, 1), "padding": "SAME"}, 2 * 64 * 5 * 3 * 9),
        ((2, 3, 8, 8), (5, 3, 3, 3), {"window_strides": (1, 1), "padding": "VALID"}, 2 * 36 * 5 * 3 * 9),
        ((2, 3, 8, 8), (5, 3, 2, 2), {"window_strides": (2, 2), "padding": "VALID"}, 2 * 16 * 5 * 3 * 4),
        # 4 groups: each output channel sees 8/4 input channels
        (
            (2, 8, 6, 6),
            (12, 2, 3, 3),
            {"window_strides": (1, 1), "padding": "SAME", "feature_group_count": 4},
            2 * 36 * 12 * 2 * 9,
        ),
        # dilated kernel: as many taps, fewer positions (8 − 4)
        (
            (2, 3, 8, 8),
            (5, 3, 3, 3),
            {"window_strides": (1, 1), "padding": "VALID", "rhs_dilation": (2, 2)},
            2 * 16 * 5 * 3 * 9,
        ),
        # 1-d and 3-d
        ((2, 3, 10), (4, 3, 3), {"window_strides": (1,), "padding": "SAME"}, 2 * 10 * 4 * 3 * 3),
        (
            (2, 3, 4, 6, 6),
            (4, 3, 3, 3, 3),
            {"window_strides": (1, 1, 1), "padding": "SAME"},
            2 * 144 * 4 * 3 * 27,
        ),
        # transposed, stride 2, kernel 2: each input element meets each kernel element once
        (
            (2, 3, 8, 8),
            (5, 3, 2, 2),
            {"window_strides": (1, 1), "padding": ((1, 1), (1, 1)), "lhs_dilation": (2, 2)},
            2 * 64 * 5 * 3 * 4,
        ),
    ],
)
def test_convolutions(x, w, options, expected):
    assert count_flops(lambda a, b: convolution(a, b, **options), shape(*x), shape(*w)) == 2 * expected


def test_convolution_layouts_agree():
    def nhwc(x, w):
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    assert count_flops(nhwc, shape(2, 8, 8, 3), shape(3, 3, 3, 5)) == 2 * 2 * 64 * 5 * 3 * 9


@pytest.mark.parametrize("groups", [1, 2])
def test_gradient_of_a_strided_convolution_is_three_times_forward(groups):
    # Kernel equal to stride: no padding, so each of the three convolutions is the same set of products.
    def fn(x, w):
        return (
            convolution(x, w, window_strides=(2, 2), padding="VALID", feature_group_count=groups) ** 2
        ).sum()

    x, w = shape(2, 4, 8, 8), shape(6, 4 // groups, 2, 2)
    forward = 2 * (2 * 16) * 6 * (4 // groups) * 4
    assert count_flops(fn, x, w) == forward
    assert count_flops(jax.grad(fn, argnums=(0, 1)), x, w) == 3 * forward


def test_products_in_a_while_loop_are_refused_and_other_loops_are_not():
    def endless(x):
        return lax.while_loop(lambda c: c[0, 0] < 1, lambda c: c @ c, x)

    with pytest.raises(ValueError, match="how often the matrix products inside while run"):
        count_flops(endless, shape(4, 4))
    assert count_flops(lambda x: lax.while_loop(lambda c: c[0] < 1, lambda c: c + 1, x), shape(4)) == 0


def test_what_it_cannot_read_is_refused():
    def ragged(x, w, n):
        return lax.ragged_dot(x, w, n)

    with pytest.raises(ValueError, match="cannot count the FLOPs of ragged_dot"):
        count_flops(ragged, shape(6, 4), shape(2, 4, 3), shape(2, dtype=jnp.int32))


def test_sharded_function_counts_all_devices():
    mesh = jax.sharding.AbstractMesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split, whole = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec()
    fn = jax.shard_map(lambda x, w: x @ w, mesh=mesh, in_specs=(split, whole), out_specs=split)
    assert count_flops(fn, shape(12, 8), shape(8, 5)) == 2 * 12 * 8 * 5


def test_abstract_model_of_any_size_costs_nothing():
    # 4 × 10¹⁰ parameters would not fit into the machine.
    model = eqx.filter_eval_shape(lambda key: eqx.nn.Linear(200_000, 200_000, key=key), jax.random.key(0))
    assert count_parameters(model) == 200_000 * 200_001
    assert count_flops(lambda m, x: jax.vmap(m)(x), model, shape(3, 200_000)) == 2 * 3 * 200_000**2


def test_parameters_are_floating_point_leaves():
    tree = {
        "w": jnp.zeros((3, 4)),
        "b": shape(5, dtype=jnp.bfloat16),
        "n": shape(7, dtype=jnp.int32),
        "f": jnp.tanh,
    }
    tree |= {"key": jax.random.key(0), "none": None, "number": 3.0}
    assert count_parameters(tree) == 12 + 5
