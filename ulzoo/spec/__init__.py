"""Specs: YAML text → plain data with marks → checked models. Imports neither JAX nor NumPy."""

from ulzoo.spec.component import Component, ComponentOf, SpecModel, default_component
from ulzoo.spec.diff import ABSENT, Change, diff, diff_text
from ulzoo.spec.dump import dump_yaml, resolved, spec_hash
from ulzoo.spec.effect import Effect
from ulzoo.spec.load import check_structure, load_spec, parse_spec, problem_at, spec_where
from ulzoo.spec.model import Guidance, Latent, Sample, Spec, Stage1, Stage2
from ulzoo.spec.origins import origin, show
from ulzoo.spec.parallel import Parallel
from ulzoo.spec.precision import Precision
from ulzoo.spec.uses import Use, uses

__all__ = [
    "ABSENT",
    "Change",
    "Component",
    "ComponentOf",
    "Effect",
    "Guidance",
    "Latent",
    "Parallel",
    "Precision",
    "Sample",
    "Spec",
    "SpecModel",
    "Stage1",
    "Stage2",
    "Use",
    "check_structure",
    "default_component",
    "diff",
    "diff_text",
    "dump_yaml",
    "load_spec",
    "origin",
    "parse_spec",
    "problem_at",
    "resolved",
    "show",
    "spec_hash",
    "spec_where",
    "uses",
]
