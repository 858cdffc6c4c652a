"""Parts: how rows are cut, kept, and run by any number of workers."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from cryoalign.core.errors import InputError
from cryoalign.runs.interrupt import Interrupted
from cryoalign.runs.parts import PartStore, plan_parts, select_parts
from cryoalign.runs.work import run_parts
from helpers.parts import Plain


def squares(part):
    """A pure part function."""
    return {"square": np.arange(part.start, part.stop) ** 2}


@given(st.integers(1, 5000), st.integers(1, 10))
def test_parts_cover_all_rows_once_and_start_at_tiles(n_rows, tiles):
    parts = plan_parts(n_rows, 64 * tiles)
    rows = [row for part in parts for row in range(part.start, part.stop)]
    assert rows == list(range(n_rows))
    assert [part.index for part in parts] == list(range(len(parts)))
    assert all(part.start % 64 == 0 and len(part) > 0 for part in parts)


@pytest.mark.parametrize(("n_rows", "part_rows"), [(0, 64), (100, 0), (100, 65), (100, -64)])
def test_a_plan_of_nothing_or_off_the_tiles_is_refused(n_rows, part_rows):
    with pytest.raises(ValueError, match=str(n_rows if n_rows == 0 else part_rows)):
        plan_parts(n_rows, part_rows)


@given(st.integers(1, 40), st.integers(1, 50))
def test_tasks_share_all_parts_without_overlap(n_parts, n_tasks):
    parts = plan_parts(64 * n_parts, 64)
    shares = [select_parts(parts, (k, n_tasks)) for k in range(1, n_tasks + 1)]
    assert [part for share in shares for part in share] == parts
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("which", [(0, 3), (4, 3), (-1, 2)])
def test_a_task_outside_its_array_is_refused(which):
    with pytest.raises(InputError, match="K/N"):
        select_parts(plan_parts(64, 64), which)


def test_a_part_comes_back_as_it_was_saved(tmp_path):
    store = PartStore(tmp_path / "parts")
    arrays = {
        "file": np.arange(6, dtype=np.int32).reshape(2, 3),
        "transposed": np.asfortranarray(np.random.default_rng(0).normal(size=(4, 5))),
        "scalar": np.float32(2.5),
        "words": np.array(["a", "bc"]),
        "empty": np.zeros((0, 3)),
    }
    assert not store.has(4)
    store.save(4, arrays)
    back = store.load(4)
    assert store.has(4) and set(back) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == np.asarray(array).dtype


def test_equal_parts_are_equal_files(tmp_path):
    store = PartStore(tmp_path)
    for index in (0, 1):
        store.save(index, {"a": np.arange(100), "b": np.ones(3)})
        time.sleep(0.01)
    one, two = sorted(tmp_path.glob("*.npz"))
    assert one.read_bytes() == two.read_bytes()


def test_python_objects_are_refused_and_leave_no_part(tmp_path):
    store = PartStore(tmp_path)
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        store.save(0, {"bad": np.array([{}, None], dtype=object)})
    assert not store.has(0)


def test_missing_and_damaged_parts_are_named(tmp_path):
    store = PartStore(tmp_path)
    with pytest.raises(InputError, match=r"part-000003\.npz.*not finished"):
        store.load(3)
    store.save(3, {"a": np.arange(1000)})
    path = tmp_path / "part-000003.npz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"part-000003\.npz.*damaged"):
        store.load(3)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_do_not_depend_on_workers(tmp_path, workers):
    parts = plan_parts(1000, 64)
    run_parts(parts, Plain(squares), PartStore(tmp_path), workers=workers)
    order = [part.index for part, _ in PartStore(tmp_path).load_all(parts)]
    merged = np.concatenate([arrays["square"] for _, arrays in PartStore(tmp_path).load_all(parts)])
    assert order == list(range(16))
    np.testing.assert_array_equal(merged, np.arange(1000) ** 2)


def test_workers_work_at_the_same_time(tmp_path):
    together = threading.Barrier(3, timeout=20)  # breaks, and fails the test, unless three parts run at once

    def work(part):
        together.wait()
        return squares(part)

    run_parts(plan_parts(192, 64), Plain(work), PartStore(tmp_path), workers=3)
    assert PartStore(tmp_path).missing() == []


def test_blas_has_one_thread_inside(tmp_path):
    np.ones((4, 4)) @ np.ones((4, 4))

    def work(part):
        counts = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
        return {"threads": np.array(counts)}

    run_parts(plan_parts(64, 64), Plain(work), PartStore(tmp_path), workers=1)
    counts = PartStore(tmp_path).load(0)["threads"]
    assert len(counts) > 0 and (counts == 1).all()


def test_finished_parts_are_not_done_again_and_still_counted(tmp_path):
    parts, done, worked = plan_parts(300, 64), [], []

    def work(part):
        worked.append(part.index)
        return squares(part)

    store = PartStore(tmp_path)
    run_parts(parts, Plain(work), store, workers=2, which=(1, 2), on_done=done.append)
    assert sorted(worked) == [0, 1] and [part.index for part in store.missing()] == [2, 3, 4]
    run_parts(parts, Plain(work), store, workers=2, on_done=done.append)
    assert sorted(worked) == [0, 1, 2, 3, 4]
    assert sorted(part.index for part in done) == [0, 0, 1, 1, 2, 3, 4]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_error_stops_the_rest_and_is_raised(tmp_path, workers):
    worked = []

    def work(part):
        worked.append(part.index)
        if part.index == 2:
            raise InputError("broken image", row=part.start + 1)
        return squares(part)

    with pytest.raises(InputError, match="row 129: broken image"):
        run_parts(plan_parts(6400, 64), Plain(work), PartStore(tmp_path), workers=workers)
    assert len(worked) <= 3 + 2 * workers
    assert PartStore(tmp_path).has(0) and not PartStore(tmp_path).has(2)


def test_a_request_to_stop_is_obeyed_between_parts(tmp_path):
    done = []
    with pytest.raises(Interrupted) as caught:
        run_parts(
            plan_parts(6400, 64),
            Plain(squares),
            PartStore(tmp_path),
            workers=2,
            on_done=done.append,
            should_stop=lambda: len(done) >= 3,
        )
    assert caught.value.exit_code == 143
    assert 3 <= len(done) <= 5
    assert all(PartStore(tmp_path).has(part.index) for part in done)


def test_parts_of_another_cut_are_refused(tmp_path):
    run_parts(plan_parts(300, 64), Plain(squares), PartStore(tmp_path), workers=1, which=(1, 3))
    with pytest.raises(InputError, match=r"cut differently.*--block-size"):
        run_parts(plan_parts(300, 128), Plain(squares), PartStore(tmp_path), workers=1)


def test_a_changed_byte_is_damage(tmp_path):
    store = PartStore(tmp_path)
    store.save(0, {"a": np.arange(1000), "b": np.zeros(0)})
    path = tmp_path / "part-000000.npz"
    data = bytearray(path.read_bytes())
    data[4000] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"part-000000\.npz.*damaged"):
        store.load(0)


def test_arrays_are_used_where_they_lie_in_the_file(tmp_path):
    store = PartStore(tmp_path)
    rng = np.random.default_rng(0)
    given = {"a": rng.random((3, 5, 7)), "bb": np.arange(5, dtype=np.int8), "ccc": np.zeros((0, 4)), "d": np.float32(2)}
    store.save(0, given)
    found = store.load(0)
    for name, array in given.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)
        assert found[name].flags.aligned and not found[name].flags.writeable
    with np.load(tmp_path / "part-000000.npz") as archive:
        assert np.array_equal(archive["a"], given["a"])
