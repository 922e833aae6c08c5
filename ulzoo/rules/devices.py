"""Rules about the layout over devices, and number formats."""

from __future__ import annotations

from collections.abc import Iterator

from ulzoo.rules.rule import Facts, Finding

LEAST_DIVIDED = {"fsdp": 0.8, "tensor": 0.2}
"""Share of the parameters. Of a model of the paper's sizes `fsdp` divides nearly all; `tensor` divides what
transformers have, no convolutions."""


def idle_axis(facts: Facts) -> Iterator[Finding]:
    """Axis of the mesh that divides few of the parameters.

    Every device of the axis then holds, and updates, a whole copy of the rest. `fsdp` needs widths that are
    multiples of it, `tensor` transformers too; arrays smaller than `parallel.replicate_below` stay whole.
    Told of `fsdp` below 80 % and `tensor` below 20 % of all parameters.

    Do: give the devices to another axis, choose widths that are multiples, or say `parallel.rules`. A model
    that fits a device needs neither: `data` alone is faster.

    Source: arithmetic.
    """
    for axis, share in facts.divided.items():
        if share < LEAST_DIVIDED[axis]:
            text = f"'{axis}' divides {share:.0%} of the parameters; each device has all the rest"
            yield Finding(f"parallel.mesh.{axis}", f"{text}; try 'data' in its place")


def idle_rule(facts: Facts) -> Iterator[Finding]:
    """Layout rule that decides on nothing.

    No parameter has a name that it matches, or each one that does is matched by a rule before it. Paths are
    matched whole: `.*attention.*`, not `attention`.

    Do: correct the rule's `match`, move it up, or leave it out.
    """
    for place in facts.idle_rules:
        yield Finding(f"{place}.match", "decides on no parameter; correct it, move it up, or leave it out")


def narrow_parameters(facts: Facts) -> Iterator[Finding]:
    """Parameters kept in bfloat16.

    bfloat16 has eight significant bits: an update of less than 1/256 of a weight changes nothing, and usual
    learning rates make few larger ones once training is under way. Averages and optimiser are float32 in any
    case, so that little memory is won.

    Do: leave `precision.params` at float32; `precision.compute` is what makes steps faster.

    Source: arithmetic.
    """
    if facts.spec.formats.params != "float32":
        yield Finding("precision.params", "small updates are lost in it; give float32")
