from ulzoo.spec.component import Component, ComponentOf, SpecModel, default_component

__all__ = ["Component", "ComponentOf", "SpecModel", "default_component"]
