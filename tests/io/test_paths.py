"""Image names and the files they mean."""

from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.paths import (
    SearchFolders,
    image_name,
    name_from_here,
    resolve_stacks,
    search_folders,
    split_image_names,
)


def test_names_are_split():
    names = split_image_names(["000002@a.mrcs", "1@../b.mrcs", "3@a.mrcs", "single.mrc", "7@x/o@home.mrcs"])
    assert names.stacks == ["a.mrcs", "../b.mrcs", "single.mrc", "x/o@home.mrcs"]
    assert names.stack_index.tolist() == [0, 1, 0, 2, 3]
    assert names.frame.tolist() == [1, 0, 2, -1, 6]
    assert image_name(1, "a.mrcs") == "000002@a.mrcs"


@pytest.mark.parametrize(
    "name", ["0@a.mrcs", "000000@a.mrcs", "-1@a.mrcs", "x@a.mrcs", "1.5@a.mrcs", "@a.mrcs", "²@a.mrcs"]
)
def test_index_that_is_no_whole_number_from_1(name):
    with pytest.raises(InputError, match=r"p\.star, row 2: image index is not a whole number from 1 up"):
        split_image_names(["1@a.mrcs", name], path=Path("p.star"))


@pytest.mark.parametrize("name", ["1@", ""])
def test_name_without_a_file(name):
    with pytest.raises(InputError, match="row 1: image name without a file"):
        split_image_names([name])


def test_order_of_folders(here):
    table = here / "project" / "job" / "p.star"
    (here / "d").mkdir()
    assert search_folders(table, datadir=Path("d")) == SearchFolders(Path("d"), (Path(), table.parent))
    assert search_folders(table, project=True).others[-1] == here / "project"
    with pytest.raises(InputError, match="e: --datadir is no folder"):
        search_folders(table, datadir=Path("e"))


def test_each_folder_is_searched(here):
    job = here / "project" / "job"
    job.mkdir(parents=True)
    (here / "data").mkdir()
    for place in (here / "here.mrcs", here / "data" / "d.mrcs", job / "own.mrcs", job.parent / "above.mrcs"):
        place.touch()
    names = ["here.mrcs", "d.mrcs", "own.mrcs", "above.mrcs", str(here / "here.mrcs"), "./here.mrcs"]
    folders = search_folders(job / "p.cs", datadir=Path("data"), project=True)
    found = resolve_stacks(names, folders)
    assert [path.name for path in found] == ["here.mrcs", "d.mrcs", "own.mrcs", "above.mrcs", "here.mrcs", "here.mrcs"]
    assert found[0] == Path("here.mrcs")
    assert name_from_here(found[2]) == "project/job/own.mrcs"


def test_two_different_files_under_one_name(here):
    (here / "data").mkdir()
    (here / "a.mrcs").touch()
    (here / "data" / "a.mrcs").touch()
    with pytest.raises(InputError, match=r"p\.star: stack name means two different files \('a\.mrcs'\).*data/a\.mrcs"):
        resolve_stacks(["a.mrcs"], search_folders(Path("data/p.star")), path=Path("p.star"))
    # Who names a folder has said which is meant.
    for datadir, expected in (("data", "data/a.mrcs"), (".", "a.mrcs")):
        assert resolve_stacks(["a.mrcs"], search_folders(None, datadir=Path(datadir))) == [Path(expected)]


def test_one_file_found_twice_is_fine(here):
    (here / "data").symlink_to(here)
    (here / "a.mrcs").touch()
    assert resolve_stacks(["a.mrcs"], SearchFolders(None, (Path("data"), Path()))) == [Path("data/a.mrcs")]


def test_all_missing_stacks_are_named_at_once(here):
    (here / "b.mrcs").touch()
    (here / "c.mrc").touch()
    with pytest.raises(InputError) as caught:
        resolve_stacks(["c.mrcs", "b.mrcs", "sub/d.mrcs", "/e.mrcs"], search_folders(None), path=Path("p.star"))
    message = str(caught.value)
    assert message.startswith("p.star: 3 stacks not found: c.mrcs, sub/d.mrcs, /e.mrcs;")
    assert str(here) in message
    assert "c.mrc exists" in message
    assert message.endswith("start in the folder of the project, or give the folder of the stacks with --datadir")


def test_hundreds_of_missing_stacks_stay_one_line(here):
    with pytest.raises(InputError, match=r"200 stacks not found: .* and 150 more"):
        resolve_stacks([f"{i}.mrcs" for i in range(200)], search_folders(None))


def test_forced_format_of_relion(here):
    (here / "a.mrc").touch()
    assert resolve_stacks(["a.mrc:mrcs"], search_folders(None)) == [Path("a.mrc")]


def test_many_stacks_of_many_images():
    names = split_image_names([f"{i % 100 + 1:06d}@mic{i // 100}.mrcs" for i in range(20000)])
    assert len(names.stacks) == 200
    np.testing.assert_array_equal(names.frame, np.arange(20000) % 100)


def made(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


@pytest.mark.parametrize(
    "name",
    ["/old/project/Extract/job3/p.mrcs", "Extract/job3/p.mrcs", "../Extract/job3/p.mrcs", "./Extract/job3/p.mrcs",
     "/old/project/Extract/job3/p.mrcs:mrcs"],
)  # fmt: skip
def test_the_longest_end_of_a_name_that_is_in_the_data_folder(here, name):
    folders = SearchFolders(Path("data"), (Path(),))
    for place in ("p.mrcs", "job3/p.mrcs", "Extract/job3/p.mrcs"):
        made(f"data/{place}")
        assert resolve_stacks([name], folders) == [Path("data") / place]


def test_an_end_is_looked_for_in_the_data_folder_alone(here):
    made("p.mrcs", "data/other.mrcs")
    with pytest.raises(InputError, match=r"1 stack not found: /old/p\.mrcs; .*; start in the folder of the project"):
        resolve_stacks(["/old/p.mrcs"], SearchFolders(Path("data"), (Path(),)))
    with pytest.raises(InputError, match=r"1 stack not found: /old/p\.mrcs; .*; --datadir \. would find p\.mrcs"):
        resolve_stacks(["/old/p.mrcs"], search_folders(None))


def test_two_stacks_cannot_be_one_file(here):
    made("data/p.mrcs", "data/two/q.mrcs")
    folders = SearchFolders(Path("data"), (Path(),))
    with pytest.raises(InputError, match=r"t\.star: two stack names lead to one file: /one/p\.mrcs and /two/p\.mrcs"):
        resolve_stacks(["/one/p.mrcs", "/two/p.mrcs"], folders, path=Path("t.star"))
    same = ["/old/two/q.mrcs", "two/q.mrcs", "./two/q.mrcs", "two/q.mrcs:mrcs"]
    assert resolve_stacks(same, folders) == [Path("data/two/q.mrcs")] * 4


def test_an_absolute_name_gives_way_to_the_data_folder(here):
    made("p.mrcs", "data/p.mrcs")
    name = str(here / "p.mrcs")
    assert resolve_stacks([name], search_folders(None)) == [here / "p.mrcs"]
    assert resolve_stacks([name], SearchFolders(Path("data"), (Path(),))) == [Path("data/p.mrcs")]
