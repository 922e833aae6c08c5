"""Before JAX is loaded: two devices, so that it is checked too that a batch may be divided among them."""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
