"""The parts of a page by themselves: knobs, drawings, pictures, numbers."""

import re

import numpy as np
import pytest
from made_run import SPEC, make_run

from ulzoo.report.knobs import Knobs, knobs_of
from ulzoo.report.numbers import duration, flat, moment, short, title
from ulzoo.report.reading import read_run

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")


def test_the_break_even_level():
    # e + 1 − 1 has the logarithm 1; the weight there is 1 by the level's definition.
    knobs = Knobs("ulzoo.sigmoid.v1", np.e + 1, -2.0)
    assert knobs.break_even == pytest.approx(-1.0, rel=1e-12)  # rounding of float64
    assert knobs.weight(knobs.break_even) == pytest.approx(1.0, rel=1e-12)
    # Far from the bias the weight is the loss factor at high noise and nothing at low noise.
    assert knobs.weight(-1000.0) == pytest.approx(np.e + 1)
    assert knobs.weight(1000.0) == pytest.approx(0.0, abs=1e-300)
    assert Knobs("ulzoo.sigmoid.v1", 1.0, 0.0).break_even is None
    assert "no information pays its way" in Knobs("ulzoo.sigmoid.v1", 0.5, 0.0).words
    with pytest.raises(ValueError, match="no sigmoid weighting"):
        Knobs(None, 100.0, None).weight(0.0)


def test_knobs_of_decoders_with_other_weightings(tmp_path):
    weighting = "{type: ulzoo.sigmoid.v1, loss_factor: 3.0, bias: 1.0}"
    mse = SPEC.replace(f"  weighting: {weighting}\n", "  loss_factor: 7.0\n")
    assert knobs_of(read_run(make_run(tmp_path / "a", spec=mse))) == Knobs(None, 7.0, None)
    other = SPEC.replace(weighting, "{type: acme.flat.v1, loss_factor: 3.0, bias: 1.0}")
    # Another weighting's fields may mean another thing.
    assert knobs_of(read_run(make_run(tmp_path / "b", spec=other))) == Knobs("acme.flat.v1", None, None)
    long = SPEC.replace("ulzoo.sigmoid.v1", '"ulzoo::ulzoo.sigmoid.v1"')
    assert knobs_of(read_run(make_run(tmp_path / "c", spec=long))).break_even == pytest.approx(1.693147)


def test_drawings_take_colours_letters_and_ids_from_the_page():
    from ulzoo.report.drawing import SERIES, TEXT, draw, plain_numbers

    def paint(axes):
        axes.plot([1, 10, 1000], [1e-3, 1.0, -2.0], color=SERIES[3], label="$x$ <&>")
        axes.axhline(0.5, color=TEXT)
        axes.legend()
        plain_numbers(axes)

    svg = str(draw("name", (4, 3), paint, label='a "b" <c>'))
    assert svg.startswith('<svg viewBox="0 0 288 216" role="img" aria-label="a &#34;b&#34; &lt;c&gt;">')
    assert "var(--series-3)" in svg
    assert "currentColor" in svg
    assert not re.search("#0[0-9a-f]{5}", svg.replace("#000000", ""))
    assert "$x$ &lt;&amp;&gt;" in svg
    assert "font-family" not in svg
    assert "<style" not in svg
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("name-") for name in ids)
    used = re.findall(r'(?:href="#|url\(#)([^")]*)', svg)
    assert set(used) <= set(ids)
    assert svg == str(draw("name", (4, 3), paint, label='a "b" <c>'))


def test_what_lies_between_samples_is_cut_out():
    from PIL import Image

    from ulzoo.report.pictures import _without_gaps

    picture = Image.new("L", (2 * 5 + 3, 3 * 4 + 2 * 3), 255)
    cut = np.asarray(_without_gaps(picture, 2, 3, 3))
    inside = np.zeros((18, 13), bool)
    for top in (0, 7, 14):
        for left in (0, 8):
            inside[top : top + 4, left : left + 5] = True
    assert ((cut[..., 1] == 255) == inside).all()
    assert (cut[..., 0] == 255).all()
    assert _without_gaps(picture, 3, 3, 3) is picture
    # 3 images in 2 columns: the last place of the second row and all of the third are empty.
    inside[7:11, 8:13] = inside[14:] = False
    assert ((np.asarray(_without_gaps(picture, 2, 3, 3, images=3))[..., 1] == 255) == inside).all()


def test_a_large_picture_is_made_lighter(tmp_path):
    from PIL import Image

    from ulzoo.report.pictures import _at_most, _uri

    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    large = Image.fromarray(noise)
    assert _uri(large).startswith("data:image/webp;")
    assert _uri(large.resize((64, 64))).startswith("data:image/png;")
    assert _at_most(large, 160).size == (160, 160)
    assert _at_most(large.resize((64, 64)), 160).size == (64, 64)


def test_words():
    numbers = {0.24361: "0.2436", 23.0: "23", 12345.6: "12346", -1.5e-9: "−1.5e−09", 0.0: "0"}
    assert [short(number) for number in numbers] == list(numbers.values())
    assert [duration(s) for s in (0.04, 59.96, 61, 3725)] == ["0.0 s", "60.0 s", "1 min 01 s", "1 h 02 min"]
    assert title("stage2/heldout/pca_frechet") == "PCA Fréchet"
    assert moment("2026-05-04T12:00:00+00:00") == "2026-05-04 12:00 UTC"
    assert moment("yesterday") == "yesterday"
    data = {"a": {"b": [1, 2], "c": []}, "d": [{"type": "x"}, {"type": "y"}], "e": None, "f": {}}
    assert flat(data) == {
        "a.b": "[1, 2]",
        "a.c": "[]",
        "d.0.type": "x",
        "d.1.type": "y",
        "e": "null",
        "f": "{}",
    }


def test_dotted_names_break_between_words_alone():
    from ulzoo.report.rendering import breakable

    assert breakable("decoder_sampler.steps") == "decoder_<wbr>sampler.<wbr>steps"
    assert breakable("a<b.c_") == "a&lt;b.<wbr>c_"


def test_damaged_records_are_told_once_and_after_what_was_measured(tmp_path):
    from made_run import measured

    from ulzoo.report.tables import key_numbers, measured_rows

    names = ["stage1/train/damaged_records", "stage1/heldout/psnr", "stage2/train/damaged_records"]
    run = read_run(make_run(tmp_path / "run", lines=[measured(name, 1.0, "1", images=1) for name in names]))
    shown = [row.name for row in key_numbers(measured_rows(run)[0])]
    assert shown == ["stage1/heldout/psnr", "stage1/train/damaged_records"]
