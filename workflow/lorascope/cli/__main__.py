"""`python -m lorascope.cli` is the command itself."""

import sys

from lorascope.cli import main

sys.exit(main())
