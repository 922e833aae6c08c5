"""One schedule of every shape; all have the same ends."""

from ulzoo.components.schedules.cosine import CosineConfig
from ulzoo.components.schedules.interpolated_cosine import InterpolatedCosineConfig
from ulzoo.components.schedules.linear import LinearConfig
from ulzoo.components.schedules.shifted_cosine import ShiftedCosineConfig

SCHEDULES = {
    "linear": LinearConfig(),
    "cosine": CosineConfig(),
    "shifted": ShiftedCosineConfig(noise_d=64, image_d=128),
    "interpolated": InterpolatedCosineConfig(image_d=128, noise_d_low=32, noise_d_high=128),
}
