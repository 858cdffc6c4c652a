"""Pipes, sockets, devices and folders where a file should be: refused at once, by every reader."""

import os
import socket
from pathlib import Path

import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.class_table import read_chosen_classes
from cryoalign.io.cs_file import read_cs_columns
from cryoalign.io.edge_table import read_edge_table
from cryoalign.io.file_kind import open_file, open_text, read_head
from cryoalign.io.graph_file import read_graph
from cryoalign.io.mrc import read_mrc_header
from cryoalign.io.references import read_references
from cryoalign.io.star import read_star
from cryoalign.runs.digests import digest_input

READERS = [
    open_file, open_text, read_head, read_star, read_cs_columns, read_edge_table, read_graph, read_mrc_header,
    read_references, read_chosen_classes, digest_input,
]  # fmt: skip


@pytest.fixture(params=["pipe", "socket", "device", "a link to a pipe"])
def no_file(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    path = Path("x.star")
    if request.param == "device":
        path.symlink_to("/dev/zero")
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        os.mkfifo("pipe")
        path.symlink_to("pipe") if "link" in request.param else Path("pipe").rename(path)
    return path, request.param.split()[-1]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_every_reader_refuses_them(read, no_file):
    path, kind = no_file
    with pytest.raises(InputError, match=rf"x\.star: is a {kind}, not a file; write what it gives into a file first"):
        read(path)


@pytest.mark.parametrize("read", [r for r in READERS if r is not read_edge_table], ids=lambda read: read.__name__)
def test_folders(read, tmp_path):
    with pytest.raises(InputError, match=r"is a folder, not a file$"):
        read(tmp_path)


def test_names_that_are_none(tmp_path):
    with pytest.raises(InputError, match="cannot be the name of a file"):
        open_file("a\0b.star")
    with pytest.raises(InputError, match="cannot be read: File name too long"):
        open_file(tmp_path / ("x" * 300))
    with pytest.raises(InputError, match="no such file"):
        open_file(tmp_path / "none")


def test_a_file_that_becomes_a_pipe_while_it_is_opened(tmp_path, monkeypatch):
    path = tmp_path / "x"
    os.mkfifo(path)
    regular = Path(__file__).stat()
    monkeypatch.setattr(Path, "stat", lambda self, **_: regular)
    with pytest.raises(InputError, match="is a pipe"):
        open_file(path)
