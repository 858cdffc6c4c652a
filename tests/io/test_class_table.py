"""Tables about classes, ours and RELION's, and what was chosen in them."""

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.class_table import read_chosen_classes, read_class_table


def table(path, name, columns):
    """Write one block by hand."""
    text = f"data_{name}\n\nloop_\n" + "".join(f"_{label}\n" for label in columns)
    path.write_text(
        text + "".join(" ".join(map(str, row)) + "\n" for row in zip(*columns.values(), strict=True)) + "\n"
    )
    return path


MODEL = {"rlnReferenceImage": [f"{k:06d}@Class2D/run_it025_classes.mrcs" for k in (1, 2, 3)],
         "rlnEstimatedResolution": [8.5, "inf", 999]}  # fmt: skip


def test_averages_have_numbers_of_their_own(tmp_path):
    path = table(tmp_path / "averages.star", "averages", {
        "rlnReferenceImage": ["000001@out/averages.mrcs", "000002@out/averages.mrcs"], "rlnClassNumber": [2, 7],
        "cryoalignQuality": [0.5, 0.25]})  # fmt: skip
    found = read_class_table(path)
    assert found.numbers.tolist() == [2, 7] and found.numbers.dtype == np.int64
    assert found.table["cryoalignQuality"].tolist() == ["0.5", "0.25"]
    assert read_chosen_classes(path).tolist() == [2, 7]


def test_model_star_counts_by_image(tmp_path):
    path = tmp_path / "run_it025_model.star"
    table(path, "model_classes", MODEL)
    path.write_text("data_model_general\n\n_rlnReferenceDimensionality 2\n\n" + path.read_text())
    assert read_class_table(path).numbers.tolist() == [1, 2, 3]


def test_class_averages_of_a_select_job_keep_the_numbers_unless_recentred(tmp_path):
    kept = {"rlnReferenceImage": ["000012@Class2D/job005/run_it025_classes.mrcs",
                                  "000003@Class2D/job005/run_it025_classes.mrcs"]}  # fmt: skip
    assert read_chosen_classes(table(tmp_path / "class_averages.star", "", kept)).tolist() == [3, 12]
    lost = {"rlnReferenceImage": ["000001@Select/job006/class_averages.mrcs"]}
    with pytest.raises(InputError, match=r"numbers count the images.*backup_selection\.star"):
        read_chosen_classes(table(tmp_path / "class_averages.star", "", lost))
    with pytest.raises(InputError, match="numbers count the images"):
        read_class_table(tmp_path / "class_averages.star")


def test_backup_selection_has_a_row_for_each_class(tmp_path):
    path = table(tmp_path / "backup_selection.star", "", {"rlnSelected": [0, 1, 0, 1, 1]})
    assert read_chosen_classes(path).tolist() == [2, 4, 5]
    with pytest.raises(InputError, match="no class is selected"):
        read_chosen_classes(table(tmp_path / "b.star", "", {"rlnSelected": [0, 0]}))


def test_particles_stand_for_the_classes_that_occur(tmp_path):
    path = table(tmp_path / "p.star", "particles", {"rlnImageName": list("abc"), "rlnClassNumber": [4, 2, 4]})
    assert read_chosen_classes(path).tolist() == [2, 4]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"rlnImageName": ["1@a.mrcs"]}, "no table with rlnReferenceImage"),
        ({"rlnReferenceImage": ["1@a.mrcs", "1@a.mrcs"]}, r"row 2: class occurs twice \(1\)"),
        ({"rlnReferenceImage": ["1@a.mrcs"], "rlnClassNumber": ["x"]}, "row 1: rlnClassNumber is not a number"),
        ({"rlnReferenceImage": ["1@a.mrcs"], "rlnClassNumber": [0]}, "count from 1"),
        ({"rlnReferenceImage": ["0@a.mrcs"]}, "from 1 up"),
        ({"rlnReferenceImage": []}, "no rows"),
    ],
)
def test_unusable_tables(tmp_path, columns, said):
    with pytest.raises(InputError, match=said):
        read_class_table(table(tmp_path / "t.star", "x", columns))


def test_a_list_of_nothing(tmp_path):
    with pytest.raises(InputError, match="lists no classes"):
        read_chosen_classes(table(tmp_path / "t.star", "x", {"rlnImageName": ["1@a.mrcs"]}))
    with pytest.raises(InputError, match="no such file"):
        read_chosen_classes(tmp_path / "absent.star")
