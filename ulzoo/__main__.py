"""`python -m ulzoo`."""

import sys

from ulzoo.cli import main

sys.exit(main())
