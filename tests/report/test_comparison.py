"""Several runs on one page: what is put side by side, and what is marked as not comparable."""

import pytest
from made_run import SPEC, make_run, measured, rate_split, records, training
from reader import Page

from ulzoo.errors import RunError
from ulzoo.report import write_comparison
from ulzoo.report.reading import read_run

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
pytest.importorskip("jinja2", reason="the extra `report` is not installed")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    first = make_run(folder / "one")
    spec = SPEC.replace("name: made", "name: other").replace("loss_factor: 3.0", "loss_factor: 5.0")
    lines = [
        training("stage1", "loss", 10, 3.0),
        measured(
            "stage1/heldout/bits_per_pixel",
            0.5,
            "bits/pixel",
            extra=rate_split(),
            rate="proxy",
            images=8,
            spec_hash="another",
        ),
        measured("stage1/heldout/psnr", 25.5, "dB", images=16, hardware="elsewhere", ema=0.5),
        *(record for record in records() if "/examples/" in record.name),
    ]
    return [first, make_run(folder / "two", seed=1, spec=spec, lines=lines)]


@pytest.fixture(scope="module")
def page(pair):
    return Page(write_comparison(pair, pair[0].parent / "comparison.html").read_text())


def test_numbers_side_by_side_with_what_was_measured_in_another_way(pair, page):
    told = page.section("measured")
    assert (
        "stage1/heldout/bits_per_pixel bits/pixel 0.25 0.24 to 0.26 upper bound 0.5 proxy"
        " no rate : upper bound / proxy images : 16 / 8"
    ) in told
    # Spec, EMA and hardware are what makes them two runs.
    assert "stage1/heldout/psnr dB 23.5 25.5 yes" in told
    assert "stage2/train/conditional_accuracy 0.9 not measured nothing to compare" in told


def test_settings_by_what_they_have_an_effect_on(page):
    told = page.section("settings")
    assert "decoder.weighting.loss_factor objective 3.0 5.0" in told
    assert told.index("loss_factor") < told.index("name nothing made other")
    assert "decoder.weighting.bias" not in told


def test_settings_of_a_spec_that_cannot_be_loaded_are_compared_as_text(pair, tmp_path):
    from ulzoo.report.settings import differences

    strange = make_run(tmp_path / "run", spec=SPEC.replace("ulzoo.resnet.v1", "gone.plugin.v1"))
    found = differences([read_run(pair[0]), read_run(strange)])
    assert [(row.path, row.effect, row.values) for row in found.rows] == [
        ("encoder.type", "", ("ulzoo.resnet.v1", "gone.plugin.v1"))
    ]
    assert found.problem.startswith(f"{strange / 'resolved.yaml'}:4:")
    assert "no encoder named 'gone.plugin.v1'" in found.problem
    assert "\n" not in found.problem
    told = Page(write_comparison([pair[0], strange], tmp_path / "page.html").read_text()).section("settings")
    assert "A spec cannot be loaded here" in told
    assert found.problem in told
    assert differences([read_run(directory) for directory in pair]).problem == ""


def test_pictures_and_curves_of_both(page):
    grids = [e.attributes["alt"] for e in page.all("img") if "samples" in e.attributes["alt"]]
    assert [alt.split(", one")[0] for alt in grids] == ["4 samples of A made", "4 samples of B other"]
    assert len([e for e in page.all("img") if e.attributes["alt"] == "reconstruction"]) == 8
    curve = next(e for e in page.all("svg") if e.attributes["aria-label"].startswith("Loss, bits/pixel"))
    assert "A made" in curve.text
    assert "B other" in curve.text
    ends = "A made: 1 at step 10, 0.25 at step 40; B other: 3 at step 10."
    assert ends in page.section("training")
    level = next(e for e in page.all("svg") if "noise" in e.attributes["aria-label"])
    # 1 + ln 2 and 1 + ln 4, by hand.
    assert "λ* 1.69" in level.text
    assert "λ* 2.39" in level.text


def test_runs_on_other_images_share_none(pair, tmp_path):
    other = make_run(tmp_path / "run")
    for path in (other / "examples").glob("*-original.png"):
        path.write_bytes((pair[0] / "examples" / "000-reconstruction.png").read_bytes())
    text = write_comparison([pair[0], other], tmp_path / "page.html").read_text()
    assert "The runs have no image in common." in Page(text).section("reconstructions")


def test_three_runs_of_which_one_is_a_beginning(pair, tmp_path):
    start = make_run(tmp_path / "start", finished=(), lines=[])
    page = Page(write_comparison([*pair, start], tmp_path / "page.html").read_text())
    told = " ".join(page.all("header")[0].text.split())
    assert "C made: Stage 1 has no records yet (40 steps to do)." in told


def test_what_cannot_be_compared(pair, tmp_path):
    with pytest.raises(RunError, match=r"one: given twice; a run is not compared with itself"):
        write_comparison([pair[0], pair[1], pair[0]], tmp_path / "page.html")
    with pytest.raises(RunError, match="a comparison shows 2 to 8 runs, got 9"):
        write_comparison([tmp_path / str(i) for i in range(9)], tmp_path / "page.html")


def test_the_same_difference_is_written_once(tmp_path):
    lines = [
        [measured(f"stage1/heldout/{name}", 1.0, "dB", images=images) for name in ("psnr", "ssim")]
        for images in (8, 9)
    ]
    runs = [read_run(make_run(tmp_path / str(k), lines=each)) for k, each in enumerate(lines)]
    from ulzoo.report.comparison import record_rows

    first, second = record_rows(runs)
    assert (first.differs, first.same_as) == ((("images", ("8", "9")),), "")
    assert second.same_as == "stage1/heldout/psnr"
