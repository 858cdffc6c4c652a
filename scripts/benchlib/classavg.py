"""Room of class averaging: neighbours, angles, shifts, averages against the truth, beside ASPIRE on the same files."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from . import adapters, classavg_aspire, files
from .classavg_judge import Found, Lists, Views, judge_lists
from .classavg_quality import Members, Quality, average_members, judge_averages
from .classavg_truth import Recipe, class_set
from .measure import Cost
from .results import Room
from .settings import Settings
from .truth import TruthSet

JUDGED, AVERAGED, K = 300, 100, 50  # rows whose neighbours, and whose averages, are judged; members of a view


@dataclass(frozen=True)
class Ours:
    """What ``classavg`` wrote for the first rows: lists, poses (pixels), averages of these rows, cost, run.json."""

    lists: Lists
    members: Members
    averages: NDArray[np.float32]
    cost: Cost
    record: dict


def ours(settings: Settings, data: TruthSet, *extra: str, rows: int = JUDGED) -> Ours:
    """Run ``classavg`` with its defaults but for the views: those round the first rows, k = 50."""
    output = settings.runs / "classavg"
    shutil.rmtree(output, ignore_errors=True)
    chosen = ("--particles", f"1-{min(rows, len(data.truth['psi']))}", "-k", str(K))
    cost = adapters.classavg(data.particles, output, extra=(*chosen, *extra), watch_memory=True)
    found = adapters.read_members(output)
    averages = files.read_stack(output / "averages.mrcs")[found["view"]]
    pixel = data.pixel_size_angstrom
    members = Members(
        found["rows"], found["index"], found["mirror"], found["psi"], found["dx"] / pixel, found["dy"] / pixel,
        found["weight"],
    )  # fmt: skip
    record = json.loads((output / "run.json").read_text())
    shutil.rmtree(output, ignore_errors=True)
    return Ours(Lists(found["rows"], found["index"], found["mirror"], found["psi"]), members, averages, cost, record)


def shift_residuals(found: Ours, views: Views) -> tuple[NDArray, NDArray]:
    """Return the errors (q, 2) of the members' shifts in pixels, less one 3-D shift, and who is mirrored (q,)."""
    valid = found.members.index >= 0
    mirror = found.members.mirror[valid]
    # A mirrored member's shift is one of its mirrored image: x has the other sign.
    centre = np.stack([np.where(mirror, -1, 1) * found.members.dx[valid], found.members.dy[valid]], axis=1)
    return views.shift_residual(centre, found.members.index[valid]), mirror


def rms(values: NDArray) -> float:
    """Return the root mean square length of vectors (q, 2)."""
    return float(np.sqrt((values**2).sum(axis=1).mean()))


CASES = (  # recipe, bar of the view error relative to ASPIRE's, bar of the in-plane error, bar in degrees
    (Recipe(snr=0.1), 0.85, 0.55, None),
    (Recipe(snr=0.05), 0.60, 0.45, None),
    (Recipe(snr=0.02), 0.33, 0.20, None),
    (Recipe(ctf=True), 0.95, None, None),
    (Recipe(shift_sd=1.5), 0.36, None, None),
    (Recipe(n=1000, shift_sd=1.5, ctf=True), 0.25, None, None),
    (Recipe("elongated", shift_sd=1.0, ctf=True, coloured=True), 0.18, None, None),
    (Recipe("rod", shift_sd=1.0, ctf=True, coloured=True), None, None, None),
    (Recipe("80S", snr=0.05), None, None, None),
    (Recipe(n=10_000, snr=0.05), None, None, 4.2),
)


def run_classavg(settings: Settings) -> Room:
    """Neighbours, angles, shifts and averages on simulated particles, defaults throughout, beside ASPIRE 0.14.3."""
    room = settings.room("classavg")
    for recipe, view_bar, plane_bar, degrees in CASES:
        if settings.quick and recipe.n > 3000:
            continue
        with_peer = settings.peers and recipe.n <= 3000
        _case(settings, room, recipe, with_peer, view_bar, plane_bar, degrees)
    _without_shifts(settings, room)
    return room


def _case(
    settings: Settings,
    room: Room,
    recipe: Recipe,
    with_peer: bool,
    view_bar: float | None,
    plane_bar: float | None,
    degrees: float | None,
) -> None:
    ours_found, peers, residuals, qualities, peaks = [], [], [], [], []
    for seed in settings.seeds:
        one = replace(recipe, seed=seed)
        data = class_set(settings.work, one)
        views = Views(data.truth)
        found = ours(settings, data)
        ours_found.append(judge_lists(found.lists, views))
        residuals.append(shift_residuals(found, views))
        peaks.append(found.cost.cpu)
        if with_peer:
            peer = classavg_aspire.classified(settings.work, data, one)
            same_rows = Lists(*(v[found.lists.rows] for v in (peer.lists.rows, peer.lists.index, peer.lists.mirror)))
            peers.append((judge_lists(same_rows, views), judge_lists(peer.aligned, views)))
            qualities.append(_qualities(settings, data, found, peer))
    label = recipe.label
    view = np.array([f.view10 for f in ours_found])
    note = f"@10/20/50 {_mean_views(ours_found)}{_spread(view)}; {np.mean(peaks):.1f} CPU s"
    room.add(f"{label}: view error @10, deg", view.mean(), degrees, note=note)
    plane = np.array([f.in_plane for f in ours_found])
    room.add(f"{label}: in-plane median, deg", plane.mean(), note=_spread(plane).removeprefix("; "))
    if peers:
        theirs = np.array([a.view10 for a, _ in peers])
        note = f"ASPIRE @10/20/50 {_mean_views([a for a, _ in peers])}"
        room.add(f"{label}: view error over ASPIRE's", view.mean() / theirs.mean(), view_bar, note=note)
        their_plane = np.array([b.in_plane for _, b in peers])
        ratio = plane.mean() / their_plane.mean()
        room.add(f"{label}: in-plane over ASPIRE's", ratio, plane_bar, note=f"ASPIRE {their_plane.mean():.2f} deg")
    left = np.concatenate([r for r, _ in residuals])
    room.add(
        f"{label}: residual shift, px", rms(left), 0.65 if recipe.shift_sd == 1.5 and recipe.n == 3000 else None,
        note="members of views, rms length, less one 3-D shift",
    )  # fmt: skip
    share = np.array([f.mirrored for f in ours_found])
    if recipe.molecule in ("ribosome", "80S"):
        room.add(f"{label}: mirrored, at least", share.mean(), 0.48, ">=", _mirror_note(peers))
        room.add(f"{label}: mirrored, at most", share.mean(), 0.52)
    if qualities:
        _report_quality(room, label, qualities, recipe)


def _mean_views(found: list[Found]) -> str:
    return "/".join(f"{np.mean([getattr(f, name) for f in found]):.2f}" for name in ("view10", "view20", "view50"))


def _spread(values: NDArray) -> str:
    if len(values) < 2:
        return ""
    return f"; seeds {', '.join(f'{v:.2f}' for v in values)}"


def _mirror_note(peers: list) -> str:
    return f"ASPIRE {np.mean([a.mirrored for a, _ in peers]):.3f}" if peers else ""


def _qualities(settings: Settings, data: TruthSet, found: Ours, peer: classavg_aspire.Peer) -> dict[str, Quality]:
    """Judge averages of the first rows: as the programs write them, and by the judge's own averaging.

    "true" has the truly nearest with their true poses; "true, written" those, averaged by ``cryoalign average``.
    """
    n = min(AVERAGED, len(peer.averages))
    clean = files.read_stack(data.references)[:n]
    true = _true_members(data, n)
    first = Members(*(getattr(found.members, name)[:n] for name in Members.__dataclass_fields__))
    output = settings.runs / "true"
    adapters.average_members(data.particles, vars(true), output, data.pixel_size_angstrom)
    averages = {
        "ours, written": found.averages[:n],
        "true, written": files.read_stack(output / "averages.mrcs"),
        "ours": average_members(data, first),
        "true": average_members(data, true),
        "ASPIRE": peer.averages[:n],
        "ASPIRE, best averager": peer.best_averages[:n],
    }
    return {name: judge_averages(values, clean) for name, values in averages.items()}


def _true_members(data: TruthSet, n: int) -> Members:
    views = Views(data.truth)
    near = views.nearest(np.arange(n), K)
    shift = views.shift[near.index]
    x = np.where(near.mirror, -1.0, 1.0) * shift[..., 0]
    return Members(near.rows, near.index, near.mirror, near.psi, x, shift[..., 1], np.ones(x.shape))


GAPS = {0.1: 0.6, 0.05: 0.7, 0.02: 0.7}


def _report_quality(room: Room, label: str, qualities: list[dict[str, Quality]], recipe: Recipe) -> None:
    value, ring = (
        {name: float(np.mean([getattr(q[name], what).mean() for q in qualities])) for name in qualities[0]}
        for what in ("correlation", "frc")
    )
    gap = lambda ours, true, peer: (value[ours] - value[peer]) / (value[true] - value[peer])
    judged = recipe.molecule == "ribosome" and recipe.n == 3000 and recipe.shift_sd == 0
    title = f"{label}: averages, share of the gap from ASPIRE to true neighbours"
    note = "correlation: " + ", ".join(f"{name} {x:.3f}" for name, x in value.items())
    room.add(title, gap("ours", "true", "ASPIRE"), GAPS[recipe.snr] if judged else None, ">=", note)
    room.add(f"{title}, its best averager", gap("ours", "true", "ASPIRE, best averager"))
    room.add(f"{title}, as written", gap("ours, written", "true, written", "ASPIRE"))
    note = ", ".join(f"{name} {x:.3f}" for name, x in ring.items())
    room.add(f"{label}: averages, mean-ring FRC minus ASPIRE's", ring["ours, written"] - ring["ASPIRE"], 0, ">=", note)


def _without_shifts(settings: Settings, room: Room) -> None:
    """Compare the default search of shifts with none on particles that are centred."""
    errors: dict[str, list[float]] = {"searched": [], "none": []}
    for seed in settings.seeds:
        data = class_set(settings.work, Recipe(seed=seed))
        views = Views(data.truth)
        for name, extra in (("searched", ()), ("none", ("--no-shifts",))):
            errors[name].append(judge_lists(ours(settings, data, *extra).lists, views).view10)
    searched, none = (float(np.mean(v)) for v in errors.values())
    room.add("centred particles: error with shift search over without", searched / none, 1.03, note=f"{none:.2f} deg")
