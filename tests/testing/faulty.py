"""All faulty components: importing their files fills `FAULTS`."""

import faulty_configurations
import faulty_datasets
import faulty_encoders
import faulty_modules
import faulty_optimizers
import faulty_outputs
from faults import FAULTS

__all__ = [
    "FAULTS",
    "faulty_configurations",
    "faulty_datasets",
    "faulty_encoders",
    "faulty_modules",
    "faulty_optimizers",
    "faulty_outputs",
]
