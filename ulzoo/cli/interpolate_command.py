"""`ulzoo interpolate RUN A B`: a clip from one image to another."""

from ulzoo.cli.predict_command import interpolate as run

__all__ = ["run"]
