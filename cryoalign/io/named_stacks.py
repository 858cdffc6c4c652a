"""The stacks that a file of images names, whatever its kind: what a run will read besides the file itself."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from cryoalign.core.errors import InputError
from cryoalign.io.cs import read_cs
from cryoalign.io.file_kind import read_head, refuse_unless_text
from cryoalign.io.particle_set import IMAGE_NAME
from cryoalign.io.paths import resolve_stacks, search_folders
from cryoalign.io.references import REFERENCE
from cryoalign.io.star import read_star

_LABELS = (IMAGE_NAME, REFERENCE)


def named_stacks(path: Path, datadir: Path | None = None) -> list[Path]:
    """Return the files that a table's image names lead to from here; empty for what is no table.

    Parameters
    ----------
    path
        Any file of images, which must be there; of a stack nothing is read.
    datadir
        Folder in which relative names are looked up first.

    Raises
    ------
    InputError
        If the table cannot be read. Stacks that are not found are left out.
    """
    is_cs = path.name.lower().endswith(".cs")
    if is_cs:
        names = read_cs(path).table[IMAGE_NAME].tolist()
    elif _is_text(path):
        star = read_star(path)
        labels = [(name, label) for name, block in star.blocks.items() for label in _LABELS if label in block]
        names = [cell for name, label in labels for cell in star.table(name)[label]]
    else:
        return []
    folders = search_folders(path, datadir=datadir, project=is_cs)
    found: list[Path] = []
    for stack in dict.fromkeys(name.partition("@")[2] or name for name in names):
        with suppress(InputError):
            found += resolve_stacks([stack], folders, path=path)
        if "@" in stack:  # a folder may have one in its name
            with suppress(InputError):
                found += resolve_stacks([stack.rpartition("@")[2]], folders, path=path)
    return list(dict.fromkeys(found))


def _is_text(path: Path) -> bool:
    """Tell whether a file may be a table: whatever its name, that is how one without a known ending is read."""
    try:
        refuse_unless_text(read_head(path), path)
    except InputError:
        return False
    return True
