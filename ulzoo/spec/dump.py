"""From a `Spec` back to plain data, YAML and a hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml

from ulzoo.spec.effect import Effect, on_weights
from ulzoo.spec.model import Spec
from ulzoo.spec.text import plain


def resolved(spec: Spec) -> dict[str, Any]:
    """Plain data of a spec, all defaults written out; `parse_spec(dump_yaml(spec))` gives an equal spec."""
    # Without warnings: a name written `distribution::name` is not the class's own Literal.
    return spec.model_dump(mode="json", warnings=False)


def dump_yaml(spec: Spec) -> str:
    """`resolved(spec)` as YAML text in the spec's order of fields."""
    return yaml.dump(
        resolved(spec),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=110,
        default_flow_style=None,
    )


def flow_yaml(value: Any) -> str:
    """Plain data as YAML on one line."""
    text = yaml.dump(
        [value],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=float("inf"),
        default_flow_style=True,
    )
    return text.rstrip("\n")[1:-1]


def spec_hash(spec: Spec) -> str:
    """SHA-256 (hex) of what defines the trained weights: equal for specs of equal meaning.

    Fields whose declared `Effect` is not on the weights are left out, so that it is the same for a run that
    is resumed, renamed, sampled or measured in another way or on other devices. It is taken over canonical
    JSON: defaults written out, keys sorted, 1.0 written as 1, components named without distribution.
    """
    data = on_weights(spec, resolved(spec), Effect.OBJECTIVE)
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """Plain data as JSON text: equal texts mean the same."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: Any) -> Any:
    """Plain data, equal where it means the same: 1.0 as 1, components named without distribution."""
    if isinstance(value, dict):
        value = {key: canonical(part) for key, part in value.items()}
        if isinstance(value.get("type"), str):
            value["type"] = value["type"].rpartition("::")[2]
        return value
    if isinstance(value, list):
        return [canonical(part) for part in value]
    # Beyond 2**53 an integer would no longer be the same number as the float.
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.2 would read as something else (PyYAML knows 1.1 only); writes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    # Double quotes escape what else would be a line end to some reader (and the text's own line ends).
    style = None if isinstance(plain(value), str) and value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
