"""The first value that is not finite, in modules that turn so at a known place."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from ulzoo.blackbox.naming import named, place_of
from ulzoo.blackbox.origin import Origin, first_nonfinite
from ulzoo.components.layers.stack import Stack


class Scale(eqx.Module):
    w: jax.Array

    def __call__(self, x, *, key=None):
        return self.scaled(x)

    def scaled(self, x):
        return x * self.w


class Exponent(eqx.Module):
    """exp(w x), by a method that is not `__call__`."""

    w: jax.Array

    def apply(self, x):
        return jnp.exp(self.w * x)


class Root(eqx.Module):
    """√|x − w|: at x = w finite, but of no finite slope."""

    w: jax.Array

    def __call__(self, x, *args):
        return jnp.sqrt(jnp.abs(x - self.w))


class Guarded(eqx.Module):
    """log x where x is positive, else 0: log 0 and its slope are there, and count for nothing."""

    def __call__(self, x):
        positive = x > 0
        return jnp.where(positive, jnp.log(jnp.where(positive, x, 0.0)), 0.0) * jnp.where(positive, 1.0, 0.0)


class Model(eqx.Module):
    first: Scale
    parts: list
    last: Root

    def __call__(self, x):
        x = self.first(x)
        for part in self.parts:
            x = part.apply(x)
        return self.last(x)


def model(exponents=(1.0, 1.0), root=0.5):
    parts = [Exponent(jnp.full(3, w)) for w in exponents]
    return named(Model(Scale(jnp.ones(3)), parts, Root(jnp.full(3, root))), "decoder")


def step(model, x):
    loss, gradient = jax.value_and_grad(lambda model: jax.vmap(model)(x).sum())(model)
    return {"loss": loss, "gradient": gradient}


def test_of_finite_results_nothing_is_said():
    assert first_nonfinite(step, model(), jnp.ones((2, 3))) is None


def test_an_overflow_in_the_forward_pass_has_the_path_of_its_module():
    # exp(1) = 2.72, exp(40 · 2.72) = exp(108.7): above exp(88.7), the largest of float32.
    origin = first_nonfinite(step, model((1.0, 40.0)), jnp.ones((2, 3)))
    assert (origin.path, origin.direction, origin.operation, origin.value) == (
        "decoder.parts.1",
        "forward",
        "exp",
        "inf",
    )
    assert origin.largest_input == pytest.approx(40 * 2.718281828, rel=1e-6)
    file, _, line = origin.source.rpartition(":")
    assert file == __file__
    assert "jnp.exp(self.w * x)" in Path(file).read_text().splitlines()[int(line) - 1]
    assert Origin.of(origin.as_dict() | {"given_by": list(origin.given_by)}) == origin


def test_a_slope_that_is_not_finite_is_found_though_the_loss_is():
    e_to_e = jnp.exp(jnp.exp(jnp.float32(1.0)))
    found = model(root=e_to_e)
    assert first_nonfinite(step, found, jnp.ones((2, 3)), result=lambda name: name == "loss") is None
    origin = first_nonfinite(step, found, jnp.ones((2, 3)))
    assert (origin.path, origin.direction) == ("decoder.last", "backward")
    assert "in the gradient" in origin.lines()[0]


def test_what_counts_for_nothing_is_not_blamed():
    class Both(eqx.Module):
        guarded: Guarded
        exponent: Exponent

        def __call__(self, x):
            return self.guarded(x) + self.exponent.apply(x)

    both = named(Both(Guarded(), Exponent(jnp.full(3, 100.0))), "prior")
    x = jnp.array([[0.0, 1.0, -1.0]])
    origin = first_nonfinite(step, both, x, result=lambda name: name == "loss")
    assert origin.path == "prior.exponent"
    # And without the other part it is finite.
    mild = named(Both(Guarded(), Exponent(jnp.ones(3))), "prior")
    assert first_nonfinite(step, mild, x, result=lambda name: name == "loss") is None


def test_an_input_is_named():
    broken = eqx.tree_at(lambda m: m.first.w, model(), jnp.array([1.0, jnp.nan, 1.0]))
    origin = first_nonfinite(step, broken, jnp.ones((2, 3)))
    assert origin.lines() == ["first.w is nan before the step"]


class Block(eqx.Module):
    """√(1 − w x²) after a step that keeps x at 1: NaN where w > 1."""

    w: jax.Array

    def __call__(self, x, key):
        return x + 0.0 * jnp.sqrt(1.0 - self.w * x**2)


@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize("depth", [3, 6])
def test_the_layer_of_a_stack_is_told_written_out_or_looped_over(depth, remat):
    stack = Stack(lambda key: Block(jnp.full(2, 0.5)), depth, remat=remat, key=jax.random.key(0))
    stack = eqx.tree_at(lambda s: s.blocks.w, stack, stack.blocks.w.at[2].set(2.0))
    stack = named(stack, "decoder.network.body")

    def loss(stack, x):
        return jax.vmap(lambda x: stack(x, key=None))(x).sum()

    origin = first_nonfinite(loss, stack, jnp.ones((4, 2)))
    assert (origin.path, origin.layer, origin.operation) == ("decoder.network.body.blocks", 2, "sqrt")
    backward = first_nonfinite(lambda stack, x: jax.grad(loss)(stack, x), stack, jnp.ones((4, 2)))
    assert (backward.path, backward.layer) == ("decoder.network.body.blocks", 2)


def test_loops_backwards_and_slices():
    def function(xs):
        def body(carry, x):
            return carry + x, jnp.log(carry)

        return jax.lax.scan(body, jnp.float32(3.0), xs, reverse=True)

    # Backwards from 3: log 3, log 1, log −1.
    origin = first_nonfinite(function, jnp.array([5.0, -2.0, -2.0]))
    assert (origin.operation, origin.layer, origin.value) == ("log", 0, "nan")
    # The carry is finite, and asked for alone nothing is found.
    assert first_nonfinite(function, jnp.array([5.0, -2.0, -2.0]), result=lambda name: name == "0") is None
    origin = first_nonfinite(lambda xs: function(xs)[0], jnp.array([1.0, jnp.inf, 1.0]))
    assert (origin.direction, origin.operation) == ("input", "0")


def test_branches_and_loops_of_unknown_length_are_told_as_one():
    def function(x):
        y = jax.lax.while_loop(lambda y: y < 1e38, lambda y: y * 1e30, x)
        return jax.lax.cond(y > 0, lambda y: y + 1.0, lambda y: y, y)

    origin = first_nonfinite(function, jnp.float32(10.0))
    assert (origin.operation, origin.value) == ("while", "inf")


def test_bfloat16_overflows_where_float32_does_not():
    # 1.8439e19 is 2⁶⁴ in bfloat16, whose square is above all numbers; in float32 3.40e38, below 3.403e38.
    a = 1.8439e19

    class Squared(eqx.Module):
        def __call__(self, x):
            return x * jnp.asarray(a, x.dtype) * jnp.asarray(a, x.dtype) * jnp.asarray(1e-38, x.dtype)

    def loss(x):
        return jax.vmap(named(Squared(), "encoder.trap"))(x).astype(jnp.float32).sum()

    assert first_nonfinite(loss, jnp.ones((2, 3), jnp.float32)) is None
    origin = first_nonfinite(loss, jnp.ones((2, 3), jnp.bfloat16))
    assert (origin.path, origin.operation, origin.value) == ("encoder.trap", "mul", "inf")


def test_names_change_neither_leaves_nor_results():
    plain = Model(Scale(jnp.ones(3)), [Exponent(jnp.full(3, 0.5))], Root(jnp.zeros(3)))
    there = named(plain, "decoder")
    assert all(a is b for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(there), strict=True))
    x = jnp.ones((2, 3))
    assert str(jax.make_jaxpr(step)(plain, x)) == str(jax.make_jaxpr(step)(there, x))
    assert isinstance(there.first, Scale)
    # Made again, they are of the same tree.
    assert jax.tree.structure(there) == jax.tree.structure(named(plain, "decoder"))


def test_places_in_stacks_of_scopes():
    assert place_of("transpose(jvp(module:decoder))/jvp(module:decoder.network.body)/layer3/x") == (
        "decoder.network.body",
        3,
    )
    assert place_of("/jvp()/vmap()") == ("", None)
