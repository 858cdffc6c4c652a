"""Warnings of the Python face: what a run says in its log, at the line that called."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path

_NOT_CALLERS = (str(Path(__file__).parents[1]) + os.sep, contextlib.__file__)


def warn_caller(text: str) -> None:
    """Warn at the line outside of this package that asked for the work.

    How many frames lie between differs by function and by who opened what, so they are looked at.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_CALLERS):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)
