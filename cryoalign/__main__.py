"""``python -m cryoalign``: the same as the program ``cryoalign``."""

import sys

from cryoalign.cli.entry import main

sys.exit(main())
