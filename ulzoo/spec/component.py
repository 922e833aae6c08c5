"""Base of every component's configuration, ours and a plugin's, and the field type that names one in a spec."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SpecModel(BaseModel):
    """Strict, frozen data: unknown keys are refused, nothing is coerced."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        ser_json_inf_nan="constants",
    )


class Component(SpecModel):
    """Configuration of one component; subclasses add `type: Literal["<namespace>.<name>.vN"] = "…"`, fields and `build`."""

    type: str
