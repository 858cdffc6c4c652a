"""Runs without their pages: drawing is most of the time of a small run, and the tests of pages look at it."""

from __future__ import annotations

from importlib import import_module

import pytest


def leave_out_drawing(monkeypatch: pytest.MonkeyPatch, command: str, told: list | None = None) -> None:
    """Let a command write empty pages and sheets; `told` takes what each page would have been told."""

    def page(facts, data) -> str:
        if told is not None:
            told.append(data)
        return ""

    module = import_module(f"cryoalign.jobs.{command}.report")
    for name in vars(module):
        if name.startswith("build_"):
            monkeypatch.setattr(module, name, page)
        elif name.startswith("draw_"):
            monkeypatch.setattr(module, name, lambda facts, data: b"")
