"""How functions become kernels: machine code, made once and kept on disk (:mod:`cryoalign.core.kernel_cache`).

Wrappers that nobody calls are left out: they are a tenth of the compiler's work and more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from cryoalign.core.kernel_cache import KernelCache

INNER: dict[str, Any] = {"no_cfunc_wrapper": True, "no_cpython_wrapper": True}
"""Options of a function that kernels alone call; it is kept as a part of them."""


def kernel(*, keep: bool = True, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function that is called from Python and from kernels, never through C, and keep what comes of it.

    Parameters
    ----------
    keep
        False = on disk only as a part of the kernels that call it.
    **options
        Of ``numba.njit``, such as ``nogil=True``.
    """
    compiler: Any = numba.njit  # whose stated types leave out this option
    compiled = compiler(no_cfunc_wrapper=True, **options)

    def decorate(function: Callable[..., Any]) -> Any:
        made = compiled(function)
        if keep and hasattr(made, "_cache"):  # NUMBA_DISABLE_JIT leaves functions as they are
            made._cache = KernelCache(made)
        return made

    return decorate
