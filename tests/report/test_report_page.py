"""The page of a run: what is on it, how it is built, and that nothing in it comes from elsewhere."""

import itertools
import json
import re
import shutil

import pytest
from made_run import PARTS, SPEC, make_run, measured, records, training
from reader import Page

from ulzoo.errors import RunError
from ulzoo.report import write_report
from ulzoo.run import Run

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
markupsafe = pytest.importorskip("markupsafe", reason="the extra `report` is not installed")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_report(make_run(tmp_path_factory.mktemp("page") / "run")).read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def page_of(directory):
    return Page(write_report(directory).read_text())


def notice(page):
    """What the page says is missing."""
    within = [e for e in page.all("div") if e.attributes.get("class") == "notice"]
    return [e.text.strip() for e in page.all("li") if any(p in within for p in e.parents)]


@pytest.fixture
def quick(monkeypatch):
    """Drawings take most of a page's time, and many tests look at words alone."""
    drawn = markupsafe.Markup('<svg role="img" aria-label="{}"></svg>')
    monkeypatch.setattr("ulzoo.report.figures.draw", lambda *_, label, **__: drawn.format(label))


def test_the_page_is_whole_and_alone(text, page):
    """Nothing is fetched: no address in any attribute or style, and the browser is told to fetch nothing."""
    assert text.startswith("<!doctype html>")
    assert not page.all("script")
    places = [
        value
        for element in page.elements
        for name, value in element.attributes.items()
        if name in ("src", "href", "srcset", "poster", "data", "action", "xlink:href")
    ]
    assert places
    assert [place[:30] for place in places if not place.startswith(("#", "data:"))] == []
    assert [found for found in re.findall(r"url\(([^)]{0,30})", text) if not found.startswith("#")] == []
    assert "@import" not in text
    policy = [e.attributes["content"] for e in page.all("meta") if "http-equiv" in e.attributes]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_landmarks_headings_and_names(page):
    assert page.all("html")[0].attributes["lang"] == "en"
    assert page.all("title")[0].text == "made · ulzoo report"
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    levels = [int(e.tag[1]) for e in page.elements if re.fullmatch("h[1-6]", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    # One level deeper at most, so that the outline has no holes.
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    identifiers = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(identifiers) == len(set(identifiers))
    for element in page.elements:
        for name in ("aria-labelledby", "popovertarget"):
            assert element.attributes.get(name, identifiers[0]) in identifiers
        if element.attributes.get("href", "").startswith("#"):
            assert element.attributes["href"][1:] in identifiers
    assert all(e.attributes.get("aria-label") for e in page.all("svg"))
    assert all("alt" in e.attributes for e in page.all("img"))
    # A picture without words is inside a button that has them.
    for image in page.all("img"):
        if not image.attributes["alt"]:
            assert any(p.tag == "button" and p.attributes.get("aria-label") for p in image.parents)
    for table in page.all("table"):
        assert any(e.tag == "caption" and table in e.parents for e in page.elements)
    assert all(e.attributes.get("scope") in ("row", "col") for e in page.all("th"))
    # What scrolls sideways can be reached and named.
    for element in page.elements:
        if element.attributes.get("class") == "scroll":
            assert element.attributes["tabindex"] == "0"
            assert element.attributes["aria-label"]


def test_numbers_with_their_protocol(page):
    told = page.section("measured")
    assert "stage1/heldout/bits_per_pixel 0.25 bits/pixel 0.24 to 0.26 upper bound 40" in told
    assert "stage1/heldout/psnr 23.5 dB" in told
    assert "stage2/train/conditional_accuracy 0.9" in told
    assert "Protocol 1: stage1/heldout/bits_per_pixel" in told
    assert "spec_hash abc ema 0.9 hardware x86_64, cpu:cpu rate upper bound images 16" in told
    key = " ".join(page.all("dl")[0].text.split())
    assert key == (
        "bits per pixel 0.25 bits/pixel 0.24 to 0.26 upper bound PSNR 23.5 dB conditional accuracy 0.9"
    )


def test_samples_reconstructions_curves_and_time(page):
    samples = next(e.attributes["alt"] for e in page.all("img"))
    assert samples == "4 samples, one column for each class: 0, 1"
    assert "sampler.type ulzoo.ddim.v1 sampler.steps 4" in page.section("samples")
    buttons = [e.attributes["aria-label"] for e in page.all("button") if "aria-label" in e.attributes]
    assert buttons == [f"Enlarge: class {i % 2}, {16 + i}.0 bits, {20 + i}.0 dB" for i in range(4)]
    dialogs = page.all("dialog")
    assert ["popover" in e.attributes for e in dialogs] == [True] * 4
    large = [e.attributes["alt"] for e in page.all("img") if dialogs[3] in e.parents]
    assert large == ["original of image 9", "reconstruction of image 9", "bits by position of image 9"]
    training_words = page.section("training")
    assert "Loss, bits/pixel. 1 at step 10, 0.25 at step 40." in training_words
    assert "Loss, nats/dimension. 0.05 at step 20, 0.025 at step 40." in training_words
    assert "stage1 2026-05-04 12:00 UTC 1 min 02 s" in page.section("time")
    assert "python" in page.section("environment")
    assert "ulzoo.vit.v1 ulzoo 0.1.0" in page.section("environment")
    assert "loss_factor: 3.0" in page.section("spec")
    assert "# as given" in page.section("spec")
    assert notice(page) == []


def test_the_break_even_level_is_drawn_and_said(page):
    told = page.section("rate")
    # By hand: 1 + ln(3 − 1) = 1.693.
    assert "λ* = 1 + ln(3 − 1) = 1.69" in told
    drawn = [e for e in page.all("svg") if "noise" in e.attributes["aria-label"]]
    assert len(drawn) == 1
    assert "λ* 1.69" in drawn[0].text
    # The numbers of the drawing stand in tables, too.
    assert "−6" in told.replace("-", "−")
    assert "2.00 6.00 0.09" in told
    assert "From 1 to 8 bits, 16 in all." in told


def test_text_is_escaped(tmp_path, quick):
    evil = '<script>alert("&")</script>'
    lines = [*records(), measured(f"stage1/heldout/{evil}", 1.0, evil, **{evil: evil})]
    spec = f"{SPEC}# {evil}\n"
    directory = make_run(tmp_path / "<b>run", lines=lines, spec=spec, command=[evil], components={evil: evil})
    text = write_report(directory).read_text()
    assert "<script" not in text
    assert "<b>" not in text
    page = Page(text)
    assert evil in page.section("spec")
    assert evil in page.section("measured")


@pytest.mark.parametrize(
    ("finished", "told"),
    [
        ((), ["Stage 1 is not finished: its last record is of step 40 of 40."]),
        (PARTS[:1], ["Stage 1 is trained but was not measured."]),
        (PARTS[:2], ["Stage 2 is not finished: its last record is of step 40 of 40."]),
        (PARTS[:4], ["No samples were drawn."]),
    ],
)
def test_a_part_that_is_missing_is_named(tmp_path, quick, finished, told):
    found = notice(page_of(make_run(tmp_path / "run", finished=finished)))
    assert [text for start in told for text in found if text.startswith(start)], found


def test_a_run_without_a_step_and_one_of_a_first_stage_alone(tmp_path, quick):
    found = notice(page_of(make_run(tmp_path / "none", finished=(), lines=[])))
    go_on = f"Continue with: ulzoo run --resume {tmp_path / 'none'}"
    assert found == [
        f"Stage 1 has no records yet (40 steps to do). {go_on}",
        "Stage 2 has no records yet (40 steps to do).",
    ]
    first = re.sub(r"(?ms)^base_model:.*?(?=^\w)|^stage2:.*?\n", "", SPEC)
    page = page_of(make_run(tmp_path / "first", finished=PARTS[:2], spec=first))
    assert notice(page) == ["The spec has no base model: there is no stage 2 and there are no samples."]
    assert page.section("samples") == "Samples There are none."


@pytest.mark.parametrize(
    "name", ["resolved.yaml", "manifest.json", "status.json", "metrics.jsonl", "samples/grid.json"]
)
def test_a_damaged_file_is_named_and_the_rest_is_shown(tmp_path, quick, name):
    directory = make_run(tmp_path / "run")
    whole = (directory / name).read_bytes()
    (directory / name).write_bytes(b'{"cut: [\n' + whole)
    page = page_of(directory)
    found = [text for text in notice(page) if text.startswith("Cannot be read: ")]
    assert len(found) == 1
    assert name in found[0]
    assert "Enlarge: class 0" in " ".join(e.attributes.get("aria-label", "") for e in page.all("button"))


def test_pictures_that_are_gone_or_cut_are_left_out_and_named(tmp_path, quick):
    directory = make_run(tmp_path / "run")
    (directory / "examples" / "001-original.png").write_bytes(b"\x89PNG\r\n")
    (directory / "examples" / "002-reconstruction.png").unlink()
    (directory / "samples" / "grid.png").write_bytes(b"no picture")
    page = page_of(directory)
    assert len(page.all("dialog")) == 2
    assert page.section("samples") == "Samples There are none."
    grid = directory / "samples" / "grid.png"
    examples = f"in {directory / 'examples'} the pictures of"
    why = "are missing, damaged or too heavy for a page."
    assert notice(page) == [
        f"Cannot be read: {grid}: no picture, or a damaged one",
        f"2 of 4 reconstructions are shown: {examples} 001, 002 {why}",
    ]
    shutil.rmtree(directory / "examples")
    grid.unlink()
    page = page_of(directory)
    assert "There are none." in page.section("reconstructions")
    assert notice(page) == [
        f"Cannot be read: {grid}: missing",
        f"0 of 4 reconstructions are shown: {examples} 000, 001, 002, 003 {why}",
    ]


MEASURING = f"{SPEC}evaluate: [{{type: ulzoo.bits_per_pixel.v1}}]\n"


def test_records_that_are_gone_are_blamed_and_not_the_spec(tmp_path, quick):
    directory = make_run(tmp_path / "run", spec=MEASURING)
    path = directory / "metrics.jsonl"
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in whole if "/heldout/bits_per_pixel" not in line))
    assert notice(page_of(directory)) == [
        "No rate by noise level and position: metrics.jsonl lacks the record of ulzoo.bits_per_pixel.v1,"
        " which the spec's `evaluate` names; `ulzoo evaluate` measures it again."
    ]
    path.unlink()
    assert notice(page_of(directory)) == [f"Cannot be read: {path}: missing"]


def test_a_spec_that_does_not_measure_the_rate_is_told_what_does(tmp_path, quick):
    lines = [record for record in records() if record.name != "stage1/heldout/bits_per_pixel"]
    assert notice(page_of(make_run(tmp_path / "run", lines=lines))) == [
        "No rate by noise level and position: the spec's `evaluate` names no metric that records them, such"
        " as ulzoo.bits_per_pixel.v1."
    ]


@pytest.mark.parametrize("name", ["resolved.yaml", "spec.yaml", "manifest.json"])
def test_a_file_that_is_missing_is_called_missing(tmp_path, quick, name):
    directory = make_run(tmp_path / "run")
    (directory / name).unlink()
    assert notice(page_of(directory)) == [f"Cannot be read: {directory / name}: missing"]


def test_a_curve_of_a_run_that_was_continued_is_one_line(tmp_path):
    # Killed after step 30 and continued from step 10, by a process that did not cut the file.
    steps = [10, 20, 30, 20, 30, 40]
    lines = [training("stage1", "loss", step, 100.0 + i) for i, step in enumerate(steps)]
    from ulzoo.report.reading import read_run

    run = read_run(make_run(tmp_path / "run", lines=lines, finished=()))
    assert run.curve("stage1/train/loss") == [(10, 100.0), (20, 103.0), (30, 104.0), (40, 105.0)]


def test_a_collapsed_latent_is_told_first(tmp_path, quick):
    alarm = measured("stage1/heldout/collapsed", 1.0, "1", bits_per_latent_dim=0.012, threshold=0.05)
    page = page_of(make_run(tmp_path / "run", lines=[*records(), alarm]))
    told = " ".join(page.all("header")[0].text.split())
    assert "The latent has collapsed It holds 0.012 bits per dimension" in told
    assert "collapsed" not in page.all("dl")[0].text
    assert "has collapsed" not in page_of(make_run(tmp_path / "sound")).all("header")[0].text


def test_numbers_that_are_not_finite_are_shown(tmp_path):
    lines = [training("stage1", "loss", 10, float("inf")), training("stage1", "loss", 20, float("nan"))]
    told = page_of(make_run(tmp_path / "run", lines=lines, finished=())).section("training")
    assert "∞ at step 10, not a number at step 20" in told


def test_latents_that_are_no_maps(tmp_path):
    """Clips: bits are summed over frames. A vector of latents: no map, and no error."""
    for shape, words in (([[[1.0]], [[2.0]]], "summed over frames"), ([1.0, 2.0], None)):
        lines = records()
        place = next(i for i, r in enumerate(lines) if "by_position" in r.extra)
        lines[place].extra["by_position"] = shape
        told = page_of(make_run(tmp_path / str(words), lines=lines)).section("rate")
        assert words in told if words else "Bits at each" not in told


def test_it_is_a_function_of_the_files(tmp_path, text):
    directory = make_run(tmp_path / "run")
    again = write_report(directory, tmp_path / "other.html").read_text()
    assert write_report(directory).read_text() == again
    assert not (directory / ".report.html").exists()


def test_what_is_no_run_and_what_is_no_report(tmp_path, quick):
    with pytest.raises(RunError, match=r"gone: no such run directory"):
        write_report(tmp_path / "gone")
    with pytest.raises(RunError, match=r"not a run directory: spec.yaml, resolved.yaml"):
        write_report(tmp_path)
    directory = make_run(tmp_path / "run")
    mine = tmp_path / "mine.html"
    mine.write_text("<p>mine</p>")
    with pytest.raises(RunError, match="there is another file of this name; choose one with --out"):
        write_report(directory, mine)
    assert mine.read_text() == "<p>mine</p>"
    with pytest.raises(RunError, match="cannot be written: No such file"):
        write_report(directory, tmp_path / "no" / "page.html")


def test_a_line_of_timings_that_is_cut(tmp_path, quick):
    directory = make_run(tmp_path / "run")
    with (directory / "timings.jsonl").open("a") as file:
        file.write('{"part": "samp')
    assert len(Run(directory, None).timings()) == len(PARTS)
    (directory / "timings.jsonl").write_text(json.dumps({"part": "stage1", "finished": False, "seconds": 7}))
    assert "stage1 (interrupted) 7.0 s" in page_of(directory).section("time")
