"""Packed stacks (.gz, .bz2) are unpacked once into a scratch folder, since pixels are read at random."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import os
import shutil
import zlib
from pathlib import Path

from cryoalign.core.errors import InputError
from cryoalign.io.mrc import MrcHeader, check_complete

_OPENERS = {"gzip": gzip.open, "bzip2": bz2.open}
_CHUNK = 1 << 22


def unpacked(header: MrcHeader, scratch_dir: Path) -> Path:
    """Return the path of the plain file: the file itself, or its unpacked copy in ``scratch_dir``, made if need be.

    Raises
    ------
    InputError
        If the packed file is damaged or holds fewer bytes than its header says.
    """
    if header.compression is None:
        return header.path
    key = hashlib.sha256(os.fsencode(header.path.resolve())).hexdigest()[:16]
    target = scratch_dir / f"{key}_{header.path.stem}"
    if not target.exists():
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            scratch_dir.mkdir(parents=True, exist_ok=True)
            with _OPENERS[header.compression](header.path, "rb") as packed, part.open("wb") as plain:
                shutil.copyfileobj(packed, plain, _CHUNK)
            check_complete(header, part)
            part.replace(target)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"damaged {header.compression} file: {error}", path=header.path) from None
        except OSError as error:
            # bz2 says OSError for bad data, without an error number.
            if error.errno is None:
                raise InputError(f"damaged {header.compression} file: {error}", path=header.path) from None
            raise InputError(f"cannot be unpacked into {scratch_dir}: {error.strerror}", path=header.path) from None
        finally:
            if scratch_dir.is_dir():
                part.unlink(missing_ok=True)
    check_complete(header, target)
    return target
