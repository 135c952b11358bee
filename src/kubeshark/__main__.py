"""`python -m kubeshark` is the command `kubeshark`."""

import sys

from kubeshark.cli import main

sys.exit(main())
