"""The file of a study, as data, and the runs that it has. No JAX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import to_json

from ulzoo.errors import Problem, SpecError
from ulzoo.spec import SpecModel
from ulzoo.spec.component import Resolution, installed
from ulzoo.spec.fields import Place
from ulzoo.spec.messages import problems
from ulzoo.spec.text import parse, read_text
from ulzoo.sweep.grid import SEED, Point, check_names, folder_name


class Claim(SpecModel):
    """A number that rises from variant to variant, or that lies within bounds in every run; what falls is
    written from the other end."""

    text: str = Field(min_length=1)
    """The claim in words."""
    source: str = Field(default="", max_length=200)
    """Where it is made, such as "Heek et al. 2026, Table 2"."""
    number: str | tuple[str, ...] = Field(min_length=1)
    """Name of the record, such as `stage1/heldout/psnr`; or one for each of `rises`."""
    rises: tuple[str, ...] | None = Field(default=None, min_length=2)
    """Variants, in the order in which the number is claimed to rise."""
    within: tuple[float, float] | None = None
    """Lowest and highest value that the number is claimed to have, in every run of every variant."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """The number of each variant."""
        return (self.number,) * len(self.rises or "1") if isinstance(self.number, str) else self.number

    @model_validator(mode="after")
    def _one_each(self) -> Claim:
        if (self.rises is None) == (self.within is None):
            raise ValueError("a claim has either rises or within")
        if self.rises is not None and len(self.numbers) != len(self.rises):
            raise ValueError(f"a claim has {len(self.numbers)} numbers for {len(self.rises)} variants")
        if self.within is not None and not (len(self.numbers) == 1 and self.within[0] < self.within[1]):
            raise ValueError("a claim within bounds has one number, and a lower bound below the upper one")
        return self


class Study(SpecModel):
    """A base spec, variants, seeds and claims."""

    study: Literal[1]
    """Version of this schema."""
    title: str = Field(min_length=1)
    """Heading of the page."""
    about: str = ""
    """What it is about, a paragraph."""
    base: str = Field(min_length=1)
    """The spec that the variants override, a path relative to this file."""
    overrides: dict[str, Any] = {}
    """Dotted paths and values that hold for all variants."""
    variants: dict[str, dict[str, Any]] = Field(min_length=1)
    """Name → dotted paths and values."""
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    """Each variant is run once with each."""
    stages: tuple[Literal[1, 2], ...] = Field(default=(1, 2), min_length=1)
    """Which stages are trained."""
    claims: tuple[Claim, ...] = ()
    """What the runs are asked."""

    @model_validator(mode="after")
    def _known(self) -> Study:
        for claim in self.claims:
            if claim.rises is None:
                continue
            if unknown := [name for name in claim.rises if name not in self.variants]:
                raise ValueError(
                    f"a claim names the variant {unknown[0]!r}; there are {', '.join(self.variants)}"
                )
            if len({*zip(claim.rises, claim.numbers, strict=True)}) < len(claim.rises):
                raise ValueError(f"a claim names a variant twice, got {', '.join(claim.rises)}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must differ, got {', '.join(map(str, self.seeds))}")
        for overrides in (self.overrides, *self.variants.values()):
            if SEED in overrides:
                raise ValueError("seed is not overridden; give it under seeds")
        return self

    def points(self) -> tuple[Point, ...]:
        """Every variant with every seed. Raises RunError if two would have one directory."""
        points = tuple(
            Point(f"{folder_name(name)},seed={seed}", name, {**self.overrides, **overrides, SEED: seed})
            for name, overrides in self.variants.items()
            for seed in self.seeds
        )
        check_names(points)
        return points


def load_study(path: str | Path) -> Study:
    """The study in a YAML file.

    Raises:
        SpecError: with every problem, each with file, line and column.
    """
    document = parse(read_text(path), str(path))
    if not isinstance(document.data, Mapping):
        raise SpecError([Problem(str(path), "", "not a study; it is a mapping that starts with 'study: 1'")])
    try:
        return Study.model_validate_json(to_json(document.data), strict=True)
    except ValidationError as error:
        place, resolution = Place((Study,), document.data), Resolution(installed(), load=False)
        raise SpecError(problems(error.errors(include_url=False), document, place, resolution)) from None


def base_path(path: str | Path, study: Study) -> Path:
    """Where a study's base spec is."""
    return Path(path).parent / study.base
