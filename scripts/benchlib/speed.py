"""Rooms of speed: kernel, search, whole process against its peers, writing of stacks, threads, and the cost table.

CPU seconds, one thread, peers in the same run on the same images. A peer or a start-up that costs the same for any
number of images is left in for whole processes and left out for rates (said in each note).
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from . import adapters, aspire_peer, exhaustive, files, relion, simple, truth
from .results import Room
from .settings import Settings


def best_cpu(call: Callable[[], object], repeats: int = 5) -> float:
    """Return the least CPU seconds of a call, after one to warm up: compilation and page faults are not the work."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def sgemm_peak() -> float:
    """Return the flop/s of one-thread float32 matrix products of this process, the best of three sizes."""
    rates = []
    for size in (1024, 1536, 2048):
        a, b = np.random.default_rng(0).standard_normal((2, size, size), dtype=np.float32)
        out = np.empty_like(a)
        rates.append(2.0 * size**3 / best_cpu(lambda a=a, b=b, out=out: np.matmul(a, b, out=out)))
    return max(rates)


def run_kernel(settings: Settings) -> Room:
    """The coarse kernel against the sgemm peak of the process, and the M = 1 search against a plain one."""
    room = settings.room("kernel")
    with threadpool_limits(1):
        # Peak and kernel alternate, so that the clock and the neighbours are the same for both.
        case = adapters.kernel_case()
        rounds = [(sgemm_peak(), case.pairs / best_cpu(case.call, 3)) for _ in range(3)]
        peak, rate = max(p for p, _ in rounds), max(r for _, r in rounds)
        wide = any(x.get("architecture") in ("SkylakeX", "Cooperlake", "SapphireRapids") for x in threadpool_info())
        share = float(np.median([r * case.flop_per_pair / p for p, r in rounds]))
        room.add("coarse kernel, pairs/s (32 rings, 49 shifts)", rate, note=case.settings)
        note = f"sgemm {peak / 1e9:.1f} Gflop/s; flop by the stated formula, even and odd harmonics not folded"
        room.add("coarse kernel over sgemm peak", share, 0.35 if wide else 0.45, ">=", note)
        n = 512 if settings.quick else 2048
        data = truth.phantom_set(settings.work, n_references=1, n=n, snr=0.1)
        images, references = data.images(), files.read_stack(data.references)
        ours = adapters.searcher(references, data.truth["noise_power"], 8.0)
        plain = simple.prepare(references[0], 8.0, band=exhaustive.information_band(references, 0.995), coarse_rings=21)
        pairs = [(best_cpu(lambda: ours(images), 2), best_cpu(lambda: plain(images), 1)) for _ in range(2)]
        mine, other = (min(p[i] for p in pairs) for i in (0, 1))
        room.add("search with transforms, 128 px, M = 1, images/s", n / mine)
        note = f"{n / other:,.0f} images/s: finufft rings, ring FFT per shift, point-wise Newton"
        room.add("M = 1 search over plain search", other / mine, 4.0, ">=", note)
    return room


def run_speed(settings: Settings) -> Room:
    """Whole processes and searches against ASPIRE and RELION."""
    room = settings.room("speed")
    _against_aspire(settings, room)
    _against_relion(settings, room)
    return room


def _against_aspire(settings: Settings, room: Room) -> None:
    data = truth.phantom_set(settings.work, n=512 if settings.quick else 2048, snr=0.1)
    images, references = data.images(), files.read_stack(data.references)
    n, count = len(images), len(references)
    with threadpool_limits(1):
        ours = adapters.searcher(references, data.truth["noise_power"], 8.0)
        rate = n * count / best_cpu(lambda: ours(images), 3)
    room.add("search with transforms, 128 px, M = 10, pairs/s", rate, note="+-8 px")
    rows = 2000 if settings.quick else 20000
    star = truth.repeated(settings.work, data, rows)
    options = {"write_stack": True, "extra": ("--max-shift-px", "8")}
    spent = min(_align(settings, data, star, **options).cpu for _ in range(2))
    whole = rows * count / spent
    room.add("whole command with the stack, 128 px, M = 10, pairs/s", whole, note=f"{rows} images, {spent:.1f} CPU s")
    if not settings.peers:
        return
    peer = aspire_peer.pairs_per_second(settings.work, data, radius=8, n_images=8 if settings.quick else 40)
    turn = aspire_peer.pairs_per_second(settings.work, data, radius=0, n_images=100)
    room.add("ASPIRE BFTAverager2D, radius 8, pairs/s", peer["rate"], note=f"rotation only {turn['rate']:,.0f}")
    room.add("search over ASPIRE", rate / peer["rate"], 1000, ">=")
    room.add("whole command with the stack over ASPIRE", whole / peer["rate"], None if settings.quick else 300, ">=")


def _against_relion(settings: Settings, room: Room) -> None:
    n = 500 if settings.quick else 5000
    data = truth.map_set(settings.work, n=n, snr=0.1)
    poses = min(_align(settings, data).cpu for _ in range(2))
    stack = min(_align(settings, data, write_stack=True).cpu for _ in range(2))
    room.add(f"whole command, {n} x 64 px, poses only, CPU s", poses)
    room.add(f"whole command, {n} x 64 px, with the stack, CPU s", stack)
    if not settings.peers:
        return
    if not relion.available():
        room.skip("RELION", "relion_refine is not installed")
        return
    for label, grid in (("fine grid", relion.FINE), ("default grid", relion.DEFAULT)):
        cost, _ = relion.refine(
            data.folder,
            "particles.star",
            "references.mrcs",
            settings.runs / "relion",
            diameter_angstrom=0.8 * 320,
            grid=grid,
        )
        room.add(f"relion_refine, {label}, CPU s", cost.cpu, note="one iteration; it also estimates noise and averages")
        # Few images measure start-up: a quick run quotes these and judges nothing.
        judged = label == "fine grid" and not settings.quick
        room.add(f"poses only, times RELION's {label}", cost.cpu / poses, 40 if judged else None, ">=")
        room.add(f"with the stack, times RELION's {label}", cost.cpu / stack, 20 if judged else None, ">=")


def _align(settings: Settings, data: truth.TruthSet, star: Path | None = None, **options):
    output = settings.runs / "speed"
    shutil.rmtree(output, ignore_errors=True)
    cost = adapters.align(star or data.particles, data.references, output, **options)
    shutil.rmtree(output, ignore_errors=True)
    return cost


def run_stack(settings: Settings) -> Room:
    """Aligned stacks of 128 px with the default interpolation: what writing them adds to the command."""
    room = settings.room("stack")
    data = truth.phantom_set(settings.work, n_references=1, n=2048, snr=0.1)
    rows = 8192 if settings.quick else 20480
    star = truth.repeated(settings.work, data, rows)
    without = min(_align(settings, data, star).cpu for _ in range(2))
    with_stack = min(_align(settings, data, star, write_stack=True).cpu for _ in range(2))
    note = f"{rows} images; {without:.2f} CPU s without, {with_stack:.2f} with"
    room.add("aligned stack, 128 px, images/s/core", rows / (with_stack - without), 3000, ">=", note)
    turn = adapters.resampler()
    images = data.images()[:512]
    pose = {k: data.truth[k][:512] for k in ("psi", "dx", "dy")}
    with threadpool_limits(1):
        room.add("resampling alone, 128 px, images/s/core", 512 / best_cpu(lambda: turn(images, pose), 3))
    return room


def run_threads(settings: Settings) -> Room:
    """Two threads against one, wall clock: only meaningful on an idle machine with two cores.

    The whole command also starts Python, reads, draws and writes, on one thread whatever -j says; the stage that aligns
    is timed by run.json.
    """
    room = settings.room("threads")
    data = truth.phantom_set(settings.work, n=2048, snr=0.1)
    star = truth.repeated(settings.work, data, 4096 if settings.quick else 40960)
    load = os.getloadavg()[0]
    for write_stack, label in ((False, "poses only"), (True, "with the stack")):
        runs = [[_timed(settings, data, star, threads, write_stack) for _ in range(2)] for threads in (1, 2)]
        for what, index in (("whole command", 0), ("aligning alone", 1)):
            one, two = (min(times[index] for times in pair) for pair in runs)
            note = f"{one:.1f} s and {two:.1f} s; load before {load:.1f} on {os.cpu_count()} cores"
            room.add(f"two threads over one, {label}, {what}", one / two, 1.7, ">=", note)
    return room


def _timed(settings: Settings, data: truth.TruthSet, star: Path, threads: int, write_stack: bool):
    """Wall seconds of the whole command, and of its stage that aligns."""
    output = settings.runs / "threads"
    shutil.rmtree(output, ignore_errors=True)
    cost = adapters.align(star, data.references, output, threads=threads, write_stack=write_stack)
    stage = json.loads((output / "run.json").read_text())["timings_s"]["align"]
    shutil.rmtree(output, ignore_errors=True)
    return cost.wall, stage


def run_table(settings: Settings) -> Room:
    """Cost of the whole command, poses only: seconds for 1e3, 1e4, 1e5 images.

    Stacks hold at most 2,048 different images, listed again and again: the disk is read from the page cache.
    """
    room = settings.room("table")
    counts = (1000,) if settings.quick else (1000, 10000, 100000)
    for box in (64, 128, 256):
        for n_references in (1, 10, 100):
            data = truth.phantom_set(settings.work, box=box, n_references=n_references, n=2048 if box < 256 else 1024)
            for n in counts:
                cost = _align(settings, data, truth.repeated(settings.work, data, n))
                note = f"{n / cost.cpu:,.0f} images per CPU s; {cost.wall:.1f} s on the wall, 1 thread"
                room.add(f"{box} px, {n_references} references, {n:,} images, CPU s", cost.cpu, note=note)
    return room
