"""``python -m lrlib`` is the ``lrlib`` command."""

import sys

from lrlib.cli import main

sys.exit(main())
