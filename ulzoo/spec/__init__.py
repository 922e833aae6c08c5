from ulzoo.spec.component import Component, SpecModel

__all__ = ["Component", "SpecModel"]
