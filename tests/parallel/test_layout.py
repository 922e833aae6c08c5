"""Where parameters live: rules and the default, on meshes whose devices are not there."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import PartitionSpec as P

from ulzoo.errors import InterfaceError
from ulzoo.parallel.activations import MisfitError, constrain, matched
from ulzoo.parallel.layout import Layout, leaves
from ulzoo.parallel.mesh import abstract_mesh, check_batch, over_batch
from ulzoo.spec import Parallel


class Block(eqx.Module):
    up: eqx.nn.Linear
    down: eqx.nn.Linear

    def __init__(self, width, key):
        k_up, k_down = jax.random.split(key)
        self.up = eqx.nn.Linear(width, 4 * width, key=k_up)
        self.down = eqx.nn.Linear(4 * width, width, key=k_down)

    def __call__(self, x):
        return x + self.down(jax.nn.gelu(self.up(x)))


class Layers(eqx.Module):
    stacked = ("layers",)
    layers: Block
    other: Block


class Net(eqx.Module):
    tower: Layers
    scale: jax.Array
    nothing: None = None


def made(width=16, depth=4, key=None):
    keys = jax.random.split(jax.random.key(0) if key is None else key, depth)
    layers = eqx.filter_vmap(lambda k: Block(width, k))(keys)
    return Net(Layers(layers, Block(width, keys[0])), jnp.ones(width))


NET = eqx.filter_eval_shape(made)
"""In place of one role, the decoder."""


def specs(mesh, tree=NET, prefix="decoder", **settings):
    layout = Layout(abstract_mesh(mesh), Parallel(mesh=mesh, **settings))
    shardings = jax.tree.leaves(layout.parameters(tree, prefix))
    names = [path for path, _, _ in leaves(tree, prefix)]
    return {name: sharding.spec for name, sharding in zip(names, shardings, strict=True)}


def test_leaves_have_whole_names_and_count_the_axes_of_stacks():
    found = {path: stacked for path, _, stacked in leaves(NET, "decoder")}
    assert found["decoder.tower.layers.up.weight"] == 1
    assert found["decoder.tower.other.up.weight"] == found["decoder.scale"] == 0
    assert [leaf for _, leaf, _ in leaves(NET)] == jax.tree.leaves(NET)


def test_fsdp_divides_the_largest_axis_that_is_not_the_layers():
    found = specs({"fsdp": 4}, replicate_below=0)
    assert found["decoder.tower.layers.up.weight"] == P(None, "fsdp")
    assert found["decoder.tower.layers.down.weight"] == P(None, None, "fsdp")
    assert found["decoder.tower.other.up.weight"] == found["decoder.scale"] == P("fsdp")
    deep = eqx.filter_eval_shape(lambda: made(depth=128))
    assert specs({"fsdp": 4}, deep, replicate_below=0)["decoder.tower.layers.up.weight"] == P(None, "fsdp")


def test_tensor_divides_the_first_map_by_outputs_and_the_second_by_inputs():
    found = specs({"data": 2, "fsdp": 2, "tensor": 2}, replicate_below=0)
    assert found["decoder.tower.layers.up.weight"] == P(None, "tensor", "fsdp")
    assert found["decoder.tower.layers.up.bias"] == P(None, "tensor")
    assert found["decoder.tower.layers.down.weight"] == P(None, "fsdp", "tensor")
    assert found["decoder.scale"] == P("fsdp")
    attention = {"attention": {"qkv": {"weight": jnp.ones((24, 8))}, "out": {"weight": jnp.ones((8, 8))}}}
    found = specs({"tensor": 2}, attention, replicate_below=0)
    assert found == {
        "decoder.attention.out.weight": P(None, "tensor"),
        "decoder.attention.qkv.weight": P("tensor"),
    }


def test_small_arrays_and_those_that_no_axis_divides_stay_whole():
    found = specs({"fsdp": 4}, replicate_below=1024)
    assert found["decoder.tower.other.up.weight"] == P("fsdp")
    # 16 × 64 numbers in each of four layers: a layer counts, not the stack.
    assert specs({"fsdp": 4}, replicate_below=1025) == dict.fromkeys(found, P())
    assert specs({"fsdp": 4}, {"odd": jnp.ones((9, 9, 3))}, replicate_below=0) == {"decoder.odd": P()}
    assert set(specs({"data": 8}, replicate_below=0).values()) == {P()}


def test_the_first_rule_that_matches_is_taken():
    rules = [
        {"match": r"decoder\.tower\.layers\..*weight", "axes": ["fsdp"]},
        {"match": r".*\.weight", "axes": [None, ("fsdp", "tensor")]},
        {"match": r"decoder\.scale", "axes": "replicated"},
        {"match": r".*", "axes": "default"},
    ]
    found = specs({"fsdp": 2, "tensor": 2}, rules=rules, replicate_below=0)
    # A rule speaks of one layer's axes.
    assert found["decoder.tower.layers.down.weight"] == P(None, "fsdp")
    assert found["decoder.tower.other.down.weight"] == P(None, ("fsdp", "tensor"))
    assert found["decoder.scale"] == P()
    assert found["decoder.tower.layers.up.bias"] == P(None, "tensor")
    # On a mesh without an axis it has one device along it.
    assert specs({"data": 4}, rules=rules)["decoder.tower.other.down.weight"] == P()


def test_a_role_of_its_own_comes_first():
    own = {"decoder": {"rules": [{"match": r"scale", "axes": ["tensor"]}], "fsdp": False}}
    rest = [{"match": ".*", "axes": "default"}]
    found = specs({"fsdp": 2, "tensor": 2}, components=own, rules=rest, replicate_below=0)
    assert found["decoder.scale"] == P("tensor")
    assert found["decoder.tower.other.up.weight"] == P("tensor")
    other = specs({"fsdp": 2, "tensor": 2}, prefix="prior", components=own, rules=rest, replicate_below=0)
    assert other["prior.scale"] == P("fsdp")
    least = {"decoder": {"replicate_below": 10**6}}
    assert set(specs({"fsdp": 2}, components=least, replicate_below=0).values()) == {P()}


def refused(mesh, **settings):
    with pytest.raises(InterfaceError) as caught:
        specs(mesh, **settings)
    return str(caught.value)


def test_what_a_rule_cannot_do_is_said():
    assert refused({"fsdp": 2}, rules=[{"match": r".*\.weight", "axes": "default"}]) == (
        "parallel.rules: no rule matches decoder.tower.layers.up.bias;"
        " give one, or end with {match: '.*', axes: default}"
    )
    own = {"decoder": {"rules": [{"match": "scale", "axes": "default"}]}}
    assert refused({"fsdp": 2}, components=own).startswith(
        "parallel.components.decoder.rules: no rule matches decoder.tower.layers.up.weight;"
    )
    assert refused({"fsdp": 6}, rules=[{"match": ".*", "axes": ["fsdp"]}]) == (
        "parallel.rules.0.axes.0: axis 0 of decoder.tower.layers.up.weight, 64 long in each of 4 layers,"
        " is not a multiple of mesh.fsdp = 6; nearest that divide it are 4 and 8"
    )
    assert refused({"fsdp": 2}, rules=[{"match": ".*", "axes": [None, None, "fsdp"]}]) == (
        "parallel.rules.0.axes: names 3 axes, but decoder.tower.layers.up.weight has shape (64, 16)"
        " in each of 4 layers"
    )


def test_moments_live_where_their_parameters_do():
    mesh = {"fsdp": 4}
    layout = Layout(abstract_mesh(mesh), Parallel(mesh=mesh, replicate_below=0))
    homes = layout.parameters(NET, "decoder")
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3), optax.ema(0.9))
    state = jax.eval_shape(optimizer.init, NET)
    found = layout.follow(state, NET, homes)
    assert found[1][0].mu == found[1][0].nu == found[2].ema == homes
    assert found[1][0].count.spec == P()
    factored = jax.eval_shape(optax.adafactor(1e-3, min_dim_size_to_factor=8).init, NET)
    # Rows and columns have their parameter's name and not its shape.
    rows = [
        (leaf.shape, home.spec)
        for leaf, home in zip(
            jax.tree.leaves(factored), jax.tree.leaves(layout.follow(factored, NET, homes)), strict=True
        )
    ]
    assert {spec for shape, spec in rows if shape == (64,)} >= {P()}


def test_batches_are_divided_over_data_and_fsdp():
    mesh = abstract_mesh({"data": 2, "fsdp": 4, "tensor": 2})
    assert over_batch(mesh).spec == P(("data", "fsdp"))
    assert over_batch(abstract_mesh({"fsdp": 4})).spec == P("fsdp")
    assert over_batch(abstract_mesh({"tensor": 4})).spec == P()
    check_batch(16, mesh, "stage1.batch_size", 2)
    with pytest.raises(InterfaceError) as caught:
        check_batch(100, mesh, "stage1.batch_size")
    assert str(caught.value) == (
        "stage1.batch_size: 100 is not a multiple of mesh.data × mesh.fsdp = 8; nearest are 96 and 104"
    )
    with pytest.raises(InterfaceError, match=r"mesh.fsdp × accumulate = 24; nearest are 24 and 48$"):
        check_batch(32, mesh, "stage1.batch_size", 3)


# ---- activations -----------------------------------------------------------------------------------


def constrained(mesh, rules):
    layout = Layout(abstract_mesh(mesh), Parallel(mesh=mesh, activations=rules))
    return constrain(NET, layout, "decoder"), layout


def test_outputs_of_named_modules_are_held_to_their_rule():
    net, layout = constrained(
        {"tensor": 2}, [{"match": r".*\.other\.up", "axes": ["tensor"]}, {"match": "none", "axes": []}]
    )
    assert matched(NET, layout, "decoder") == {0}
    assert type(net.tower.other.up).__name__ == "Constrained"
    assert net.tower.other.up.out_features == 64
    output = eqx.filter_eval_shape(lambda net: net.tower.other(jnp.ones(16)), net)
    assert output.shape == (16,)


def test_the_constraint_is_in_the_program():
    mesh = jax.make_mesh((1,), ("tensor",), axis_types=(jax.sharding.AxisType.Auto,))
    rules = [{"match": r"decoder\.tower\.other\.up", "axes": ["tensor"]}]
    net = constrain(made(), Layout(mesh, Parallel(mesh={"tensor": 1}, activations=rules)), "decoder")
    arrays, static = eqx.partition(net, eqx.is_array)
    run = lambda arrays, x: jax.vmap(eqx.combine(arrays, static).tower.other)(x)  # noqa: E731
    program = str(jax.make_jaxpr(run)(arrays, jnp.ones((3, 16))))
    assert program.count("sharding_constraint") == 1
    assert jnp.array_equal(run(arrays, jnp.ones((3, 16))), jax.vmap(made().tower.other)(jnp.ones((3, 16))))


def test_an_activation_that_does_not_fit_says_so():
    net, _ = constrained({"tensor": 3}, [{"match": r"decoder\.tower\.other", "axes": ["tensor"]}])
    with pytest.raises(MisfitError) as caught:
        eqx.filter_eval_shape(lambda net: net.tower.other(jnp.ones(16)), net)
    assert str(caught.value) == (
        "parallel.activations.0.axes.0: axis 0 of what decoder.tower.other gives, 16 long, is not a multiple"
        " of mesh.tensor = 3; nearest that divide it are 2 and 4"
    )
    net, _ = constrained({"tensor": 2}, [{"match": r"decoder\.tower\.other", "axes": [None, "tensor"]}])
    with pytest.raises(MisfitError, match=r"names 2 axes, but decoder.tower.other gives shape \(16,\)"):
        eqx.filter_eval_shape(lambda net: net.tower.other(jnp.ones(16)), net)
