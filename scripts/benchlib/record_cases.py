"""Cases of scripts/record: small particle sets and commands that cover every command and most options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import record_inputs as inputs


@dataclass(frozen=True)
class Case:
    """A run in a folder of its own, which has the case's name.

    Parameters
    ----------
    name
        Of the case and of its folder.
    words
        The command, without its output. The first part of a path is the case that is read.
    twin
        Case with the same results.
    parts
        Run in so many parts, then merged.
    stopped
        Stopped after its first part, then resumed.
    fails
        Exit status of a command that must fail.
    make
        Instead of a command, a function of the folder of all cases and of this one's that makes input files.
    reads
        Cases that are read but not named in `words`.
    """

    name: str
    words: str = ""
    twin: str = ""
    parts: int = 0
    stopped: bool = False
    fails: int = 0
    make: Callable[[Path, Path], None] | None = None
    reads: tuple[str, ...] = ()


SIDE = "align one/particles.star --strategy synchronized --iterations 2"
SIM, POSED, TWO, VIEWS, ODD = (f"{name}/particles.star" for name in ("sim", "posed", "two", "views", "odd"))
REF = "--reference sim/references.mrcs"
BARE = "--no-write-stack --no-guard"
MANY = "simulate -n 200 --box 48 --pixel-size 4 --n-views 3 --ctf --snr 0.3 --shift-sd 1.5 --optics-groups 2 --stacks 2"
SEEN = "simulate -n 300 --box 40 --pixel-size 5 --ctf --snr 0.5 --noise white --shift-sd 1 --defocus-min 1"
CLASSAVG = "classavg views/particles.star -k 20 --classes 6"
NEAR = "rid-distance views/particles.star -k 15"
FEW = "rid-distance views/particles.star -k 8 --limit 100"

SETS = [
    Case("sim", f"{MANY} --seed 1"),
    Case("sim-j1", f"{MANY} --seed 1 -j 1", twin="sim"),
    Case("odd", "simulate -n 130 --box 33 --pixel-size 5 --views single --noise white --snr 0.5 --seed 2"),
    Case("one", "simulate -n 150 --box 40 --pixel-size 4 --views single --ctf --snr 0.3 --seed 3"),
    Case("views", f"{SEEN} --defocus-max 2 --astigmatism 0.1 --voltage 200 --cs 2 --amplitude-contrast 0.07 --seed 4"),
    Case("large", "simulate -n 100 --box 64 --pixel-size 3 --n-views 3 --ctf --snr 0.3 --stacks 2 --seed 5"),
    Case("ice", "simulate -n 200 --box 48 --pixel-size 4 --n-views 3 --ctf --snr 1e-9 --seed 6"),
    Case("solid", make=inputs.make_solid),
    Case(
        "from-map",
        "simulate -n 40 --map solid/map.mrc --map-angpix 4 --views solid/views.star --noise solid/noise.star --box 30 "
        "--pixel-size 4.5",
    ),
    Case("clean", "simulate -n 40 --noise none --box 32 --pixel-size 4 --views single"),
    Case("graph", "simulate-graph -n 100 --degree 20 --good-share 0.5 --jitter 4 --export csv --export star --seed 1"),
    Case(
        "graph-mirrors",
        "simulate-graph --model geometric -n 140 --mirrors --components 2 --shift-sd 2 --shift-jitter 0.3 "
        "--good-share 0.7 --jitter 3",
    ),
    Case("graph-gaussian", "simulate-graph --model gaussian -n 70 --sigma 0.15"),
    Case("graph-false", "simulate-graph --model adversarial --adversary spread -n 80 --wrong-share 0.2"),
    Case("graph-signal", "simulate-graph -n 90 --edge-probability 0.6 --signal 3"),
    Case("graph-random", "simulate-graph -n 60 --good-share 0 --seed 2"),
    Case("two", make=inputs.make_two, reads=("sim", "large")),
    Case("flipped", make=inputs.make_flipped, reads=("sim",)),
    Case("mag", make=inputs.make_mag, reads=("sim", "flipped", "views", "one")),
    Case("cs", make=inputs.make_cs, reads=("sim",)),
    Case("spoilt", make=inputs.make_spoilt, reads=("sim",)),
    Case("old", make=inputs.make_old, reads=("sim",)),
    Case("posed", make=inputs.make_posed, reads=("sim",)),
    Case("edges", make=inputs.make_edges, reads=("graph",)),
]

ALIGN = [
    Case("align", f"align {SIM} {REF}"),
    Case("align-j1", f"align {SIM} {REF} -j 1 --block-size 64", twin="align"),
    Case("align-parts", f"align {SIM} {REF} --block-size 64", twin="align", parts=2),
    Case("align-stopped", f"align {SIM} {REF} --block-size 64 -j 1", twin="align", stopped=True),
    Case("align-no-ctf", f"align {SIM} {REF} --no-ctf --no-whiten --lowpass 15 --highpass 120 {BARE}"),
    Case("align-peak", f"align {SIM} {REF} --ctf-intact-first-peak --fast --max-shift 12 --mask-diameter 150"),
    Case("align-micrograph", f"align --in_parts {SIM} {REF} --noise_group micrograph --mask_diameter 150 --halves No"),
    Case("align-mirror", f"align flipped/particles.star {REF} --mirror"),
    Case("align-halves", f"align {SIM} {REF} --halves --iterations 3"),
    Case("align-halves-mirror", f"align flipped/particles.star {REF} --mirror --iterations 2 --initial-lowpass 30"),
    Case("align-rounds", f"align {SIM} {REF} --iterations 2 --no-halves {BARE}"),
    Case("align-two", f"align {TWO} {REF}"),
    Case("align-two-halves", f"align {TWO} {REF} --iterations 2 {BARE}"),
    Case("align-odd", "align odd/particles.star --reference odd/references.mrcs --interpolation linear"),
    Case("align-bare", "align odd/particles.mrcs --reference odd/references.star --angpix 5 --interpolation nearest"),
    Case(
        "align-dark",
        "align odd/particles.mrcs --reference odd/references.mrcs --invert --allow-no-signal --limit 70 --edge mean",
    ),
    Case("align-normalize", f"align {SIM} {REF} --normalize --interpolation cubic --edge mirror"),
    Case("align-quintic", f"align {TWO} {REF} --normalize --interpolation quintic --edge zero --no-guard"),
    Case("align-local", f"align {POSED} {REF} --local 8 --max-shift-px 1.5"),
    Case("align-flip", f"align {POSED} {REF} --local 8 --local-flip --iterations 2 {BARE}"),
    Case("align-cs", f"align cs/particles.cs {REF}"),
    Case("align-cs-local", f"align cs/particles.cs {REF} --local 4 --max-shift-px 0 --no-write-stack"),
    Case("align-mag", f"align mag/sim.star {REF} --apply-mag-matrix"),
    Case("align-mag-mirror", f"align mag/flipped.star {REF} --apply-mag-matrix --mirror --no-guard"),
    Case("align-mag-ignored", f"align mag/sim.star {REF} {BARE}"),
    Case("align-null", f"align {SIM} {REF} --null-test --no-write-stack --seed 5"),
    Case("align-skip", f"align spoilt/particles.star {REF} --on-bad-image skip"),
    Case("align-spoilt", f"align spoilt/particles.star {REF}", fails=1),
    Case("align-old", f"align old/particles.star {REF} --no-write-stack --max-shift-px 3"),
    Case("align-resized", f"align {SIM} --reference large/references.mrcs --resize-reference --no-write-stack"),
    Case("align-unlike", f"align {SIM} --reference large/references.mrcs", fails=1),
    Case("align-several", f"align {SIM} flipped/particles.star {REF} --no-guard"),
    Case("align-ice", f"align ice/particles.star {REF}"),
    Case("align-again", f"align {SIM} --reference align/averages.star --no-write-stack"),
    Case("align-usage", f"align {SIM} {REF} --local 0", fails=2),
    Case("align-auto", f"align {SIM} {REF} --metric auto --limit 40 {BARE}"),
    Case("align-rfsw", f"align {SIM} {REF} --metric rfsw --limit 100"),
    Case("align-information", f"align {SIM} {REF} --metric mutual-information --limit 70 --mirror {BARE}"),
    Case("align-euclidean", f"align {TWO} {REF} --metric euclidean --limit 100"),
    Case("align-correntropy", f"align {POSED} {REF} --metric correntropy --limit 70 --local 10 {BARE}"),
    Case("align-wavelet", f"align {SIM} {REF} --metric wavelet-emd --limit 10 {BARE}"),
    Case("synchronized", SIDE),
    Case(
        "synchronized-j1", "align one/particles.star --strategy synchronized --iterations 2 -j 1", twin="synchronized"
    ),
    Case("synchronized-classes", f"align {SIM} --strategy synchronized --classes 3 --mirror --iterations 2"),
]

AVERAGE = [
    Case("average", "average align/particles.star"),
    Case("average-j1", "average align/particles.star -j 1 --block-size 64", twin="average"),
    Case("average-parts", "average align/particles.star --block-size 64", twin="average", parts=2),
    Case("average-plain", "average align/particles.star --plain --by rlnMicrographName"),
    Case("average-phase", "average align/particles.star --phase-flip --all --mask-diameter 140"),
    Case("average-ssnr", "average align/particles.star --ssnr 1e7 --classes 1,3 --ctf-intact-first-peak"),
    Case("average-median", "average align/particles.star --robust median"),
    Case("average-winsorised", "average align-mirror/particles.star --robust winsorised --plain"),
    Case("average-clip", "average align-two/particles.star --robust sigma-clip --sigma-clip 2.5"),
    Case("average-second", "average align/particles.star --scale --recenter --variance"),
    Case("average-mirror", "average align-mirror/particles.star --recenter --variance"),
    Case("average-two", "average align-two/particles.star --scale --recenter"),
    Case("average-aligned", "average align/aligned.star"),
    Case("average-halves", "average align-halves/particles.star"),
    Case("average-independent", f"average {POSED} --independent-halves --weights myWeight"),
    Case("average-linear", f"average {POSED} --normalize --interpolation linear --edge zero --limit 150"),
    Case("average-mag", "average align-mag-mirror/particles.star --apply-mag-matrix --recenter --interpolation cubic"),
    Case("average-skip", "average spoilt/particles.star --on-bad-image skip --recenter"),
    Case("average-cs", "average cs/particles.cs --phase-flip"),
    Case("average-bare", "average odd/particles.mrcs --all --angpix 5 --invert --edge mirror"),
    Case("average-members", f"average {VIEWS} --members classavg/members.star"),
    Case("average-members-second", f"average {VIEWS} --members classavg/members.star --recenter --scale --variance"),
    Case("average-usage", "average align/particles.star --robust median --scale", fails=2),
]

NEIGHBOURS = [
    Case("near", f"{NEAR} --export csv --export star"),
    Case("near-j1", f"{NEAR} --export csv --export star -j 1 --block-size 64", twin="near"),
    Case("near-parts", f"{NEAR} --export csv --export star --block-size 64", twin="near", parts=2),
    Case("near-bessel", f"{NEAR} --metric fourier-bessel --score euclidean --no-mirror --no-shifts"),
    Case("near-raw", f"{NEAR} --no-ctf --no-whiten --mask-diameter 150 --candidates 50 --shift-sd 1.2"),
    Case("near-one", "rid-distance one/particles.star -k 15 --shift-sd 1.5"),
    Case("near-two", f"rid-distance {TWO} -k 10 --noise-group micrograph --ctf-intact-first-peak"),
    Case("near-mag", "rid-distance mag/one.star -k 10 --apply-mag-matrix"),
    Case("near-skip", "rid-distance spoilt/particles.star -k 8 --on-bad-image skip --downsample 24"),
    Case("near-pairs", f"rid-distance {VIEWS} --all-pairs --limit 70 --no-mirror --export csv"),
    Case("near-queries", f"{NEAR} --queries 1,5-8,300"),
    Case("near-within", f"rid-distance {VIEWS} --max-distance 200 --limit 90"),
    Case("near-auto", f"{FEW} --metric auto"),
    Case("near-rfsw", f"{FEW} --metric rfsw --mirror"),
    Case("near-euclidean", f"rid-distance {VIEWS} -k 8 --limit 60 --metric euclidean --no-mirror"),
    Case("near-ncc", f"rid-distance {TWO} -k 8 --limit 40 --metric ncc --whiten --downsample 32"),
    Case("near-information", f"rid-distance {VIEWS} --limit 20 --metric mutual-information --all-pairs"),
    Case("classavg", CLASSAVG),
    Case("classavg-j1", f"{CLASSAVG} -j 1 --block-size 64", twin="classavg"),
    Case("classavg-parts", f"{CLASSAVG} --block-size 64", twin="classavg", parts=2),
    Case("classavg-stopped", f"{CLASSAVG} --block-size 64 -j 1", twin="classavg", stopped=True),
    Case(
        "classavg-fixed",
        f"{CLASSAVG} --no-ctf --no-shifts --no-mirror --no-whiten --metric fourier-bessel --score euclidean",
    ),
    Case("classavg-mfca", f"{CLASSAVG} --algorithm mfca --k-max 6 --recenter --shift-sd 1.5"),
    Case("classavg-vdm", f"{CLASSAVG} --algorithm vdm --rounds 1 --min-class-size 8"),
    Case("classavg-kmeans", f"{CLASSAVG} --algorithm kmeans --seed 3"),
    Case("classavg-reweight", f"{CLASSAVG} --graph near/graph.npz --reweight"),
    Case("classavg-two", f"classavg {TWO} -k 15 --classes 4 --downsample 24"),
    Case("classavg-every", f"classavg {VIEWS} -k 6 --limit 80 --every-particle --plain --rounds 1"),
    Case("classavg-rows", f"classavg {VIEWS} -k 12 --particles 1,5-8 --phase-flip --candidates 60 --rounds 1"),
    Case("classavg-mag", "classavg mag/views.star -k 15 --classes 4 --apply-mag-matrix --rounds 1 --ssnr 0.05"),
    Case("classavg-skip", "classavg spoilt/particles.star -k 10 --classes 3 --on-bad-image skip --rounds 1"),
    Case("classavg-ice", "classavg ice/particles.star -k 10 --classes 3"),
]

SYNC = [
    Case("sync", "sync near-one/graph.npz --particles one/particles.star"),
    Case("sync-j1", "sync near-one/graph.npz --particles one/particles.star -j 1", twin="sync"),
    Case("sync-average", "average sync/particles.star --recenter"),
    Case("sync-mirrors", "sync graph-mirrors/graph.npz"),
    Case("sync-graph", "sync graph/graph.npz --anchor node_000003=45"),
    Case("sync-named", "sync edges/edges.csv --anchor n5=90 --seed 2"),
    Case("sync-star", "sync graph/graph.star --no-weights --k-max 8"),
    Case("sync-ppe", "sync graph-signal/graph.npz --algorithm ppe --k-max 8 --allow-no-signal"),
    Case("sync-spectral", "sync graph-gaussian/graph.npz --algorithm spectral"),
    Case("sync-gpm", "sync graph-false/graph.npz --algorithm gpm"),
    Case("sync-mfgpm", "sync graph/graph.csv --algorithm mfgpm"),
    Case("sync-false", "sync graph-false/graph.npz"),
    Case("sync-random", "sync graph-random/graph.npz"),
    Case("sync-mag", "sync near-mag/graph.npz"),
    Case("sync-two", "sync near-two/graph.npz --max-distance 55 --allow-no-signal"),
    Case("sync-classavg", "sync classavg/graph.npz --allow-no-signal"),
]

COMPARE_AND_SELECT = [
    Case("compare", "compare sim/references.mrcs align/averages.mrcs --mirror"),
    Case("compare-j1", "compare sim/references.mrcs align/averages.mrcs --mirror -j 1", twin="compare"),
    Case(
        "compare-poses",
        "compare align/averages.star align/particles.star --by-class --check-poses --metric ncc --metric rfsw "
        "--export csv",
    ),
    Case(
        "compare-mag",
        "compare align/averages.star align-mag/particles.star --by-class --check-poses --metric ncc --pictures 1 "
        "--apply-mag-matrix --no-noise",
    ),
    Case("compare-one", "compare 1@sim/references.mrcs 12@align/particles.star --pictures 1 --max-shift-px 3"),
    Case(
        "compare-scale",
        "compare sim/references.mrcs 2@align/averages.mrcs --scale --scale-limit 1.1 --metric ncc --metric rfsw "
        "--mask-diameter 150 --pictures 1",
    ),
    Case(
        "compare-pairs",
        "compare sim/references.mrcs large/references.mrcs --all-pairs --resize-reference --export csv "
        "--metric euclidean --metric correntropy --metric sw --pictures 1",
    ),
    Case("compare-dark", f"compare 3@sim/references.mrcs {ODD} --angpix 4 --invert", fails=1),
    Case("select", "select align/particles.star --classes 1,3 --min-score 0.2 --max-psi-error 2 --good-flags"),
    Case(
        "select-where",
        f"select {POSED} --where 'rlnDefocusU < 18000' --where 'rlnMicrographName != micrograph_02.mrc' "
        "--where 'myNote != one' --unique",
    ),
    Case("select-unique", f"select {POSED} --unique --best 50% --random 40 --seed 1"),
    Case("select-apart", f"select {POSED} --unique --min-distance 150 --coordinate-angpix 1"),
    Case("select-lowest", f"select {POSED} --best 30 --rank-by rlnDefocusU --rank-lowest --invert-selection"),
    Case(
        "select-classes",
        "select align-halves/particles.star --min-class-quality 0.1 --max-class-resolution 40 --min-class-size 20 "
        "--class-where 'cryoalignCount >= 60' --max-shift-error 3",
    ),
    Case("select-from", "select align/particles.star --classes-from select/particles.star --exclude-classes 1"),
    Case("select-relion", "select classavg/run_data.star --classes 1-4"),
    Case("select-several", f"select {SIM} large/particles.star --random 25% --seed 4"),
    Case("select-cs", "select cs/particles.cs --classes 2 --best 20 --rank-by rlnDefocusV"),
    Case("select-none", "select align/particles.star --min-score 2", fails=1),
]

COMMANDS = "align average check classavg compare merge rid-distance select simulate simulate-graph sync"
HELP = [Case("help", "--help"), *(Case(f"help-{name}", f"{name} --help") for name in COMMANDS.split())]

CASES = [*HELP, *SETS, *ALIGN, *NEIGHBOURS, *AVERAGE, *SYNC, *COMPARE_AND_SELECT]
