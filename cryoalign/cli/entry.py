"""Where the program begins: Ctrl-C while the rest is imported ends it without a word, as it does any program."""

import signal

# Python's own handler raises wherever it strikes, and an import shows the way there. A signal that is ignored stays so.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from cryoalign.cli.main import main

__all__ = ["main"]
