"""cryoalign: in-plane alignment, grouping and averaging of cryo-EM particle stacks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryoalign.api import *  # noqa: F403

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the Python face when something of it is first asked for."""
    if not name.startswith("_"):
        from importlib import import_module

        api = import_module("cryoalign.api")
        if name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module 'cryoalign' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the Python face too."""
    from importlib import import_module

    return sorted([*globals(), *import_module("cryoalign.api").__all__])
