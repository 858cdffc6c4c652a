"""Options of compiled functions that leave out wrappers which nobody calls: a tenth of the compiler's work and more."""

from __future__ import annotations

from typing import Any

KERNEL: dict[str, Any] = {"no_cfunc_wrapper": True}
"""Called from Python and from other kernels, never through C."""
INNER: dict[str, Any] = {"no_cfunc_wrapper": True, "no_cpython_wrapper": True}
"""Called from other kernels only."""
