"""Frames in one piece: results, errors and depth are those of a plain call; no memory is asked for at each step."""

import resource
import sys
import threading

import pytest

from cryoalign.core.frames import with_room
from cryoalign.core.tiles import RoomyPool


def faults_of_calls(depth):
    """Return how many page faults ten thousand short calls cost from so many frames down."""

    def leaf(a, b, c, d, e, f, g, h):
        return a

    def down(left):
        if left:
            return down(left - 1)
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        for _ in range(10_000):
            leaf(1, 2, 3, 4, 5, 6, 7, 8)
        return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

    return down(depth)


def worst_faults():
    return max(faults_of_calls(depth) for depth in range(300))


def in_thread(call):
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the interpreter may keep its frames otherwise")
def test_no_depth_pays_for_the_end_of_a_chunk():
    # Each call that crosses the end of a chunk maps, touches and unmaps a page or more.
    plain = in_thread(worst_faults)
    if plain <= 5_000:
        pytest.skip(f"this interpreter on this system keeps its chunks: {plain} page faults in a plain call")
    assert in_thread(lambda: with_room(worst_faults)) < 1_000


def test_answers_and_errors_pass_through():
    assert with_room(divmod, 7, 2) == (3, 1)
    assert with_room(int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        with_room(divmod, 1, 0)


def test_pool_gives_room_to_tasks_and_maps():
    def frame_room():
        return sys._getframe(1).f_code.co_name

    with RoomyPool(2) as pool:
        assert pool.submit(frame_room).result() == "with_room"
        assert list(pool.map(divmod, (7, 9), (2, 4))) == [(3, 1), (2, 1)]
