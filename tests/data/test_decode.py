"""Pictures of every mode, size and state of decay."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ulzoo.data import decode as decoding
from ulzoo.data.decode import CorruptImage, crop_box, decode

WHITE, RED = (255, 255, 255), (200, 30, 40)


def encoded(picture, format="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, format=format, **options)
    return buffer.getvalue()


def gradient(height, width):
    """RGB in which every position is distinct and all values change slowly."""
    down, right = np.meshgrid(np.linspace(20, 230, height), np.linspace(10, 240, width), indexing="ij")
    return np.stack([down, right, (down + right) / 2], -1).round().astype(np.uint8)


# ---- modes -------------------------------------------------------------------------------------

MODES = {
    ("PNG", "1"): 255,
    ("PNG", "L"): 120,
    ("PNG", "LA"): (120, 255),
    ("PNG", "P"): 1,
    ("PNG", "RGB"): RED,
    ("PNG", "RGBA"): (*RED, 255),
    ("PNG", "I;16"): 30840,  # 120 · 257
    ("JPEG", "L"): 120,
    ("JPEG", "RGB"): RED,
    ("JPEG", "CMYK"): (0, 217, 204, 55),  # about RED
    ("WEBP", "RGB"): RED,
    ("WEBP", "RGBA"): (*RED, 255),
}
COLOURS = {"1": (255,) * 3, "L": (120,) * 3, "LA": (120,) * 3, "I;16": (120,) * 3}


@pytest.mark.parametrize(("format", "mode"), MODES)
@pytest.mark.parametrize("channels", [1, 3])
def test_plain_colour_of_every_mode(format, mode, channels):
    picture = Image.new(mode, (9, 6), MODES[format, mode])
    if mode == "P":
        picture.putpalette([0, 0, 0, *RED])
    pixels = decode(encoded(picture, format), (4, 5), channels=channels)
    assert pixels.shape == (4, 5, channels)
    assert pixels.dtype == np.uint8
    red, green, blue = COLOURS.get(mode, RED)
    # Luma of ITU-R BT.601, which Pillow's "L" and JPEG share.
    want = (red, green, blue) if channels == 3 else (0.299 * red + 0.587 * green + 0.114 * blue,)
    # PNG is exact but for luma's rounding; JPEG and WebP are lossy and CMYK is only near RED.
    np.testing.assert_allclose(pixels.reshape(-1, channels).mean(0), want, atol=1 if format == "PNG" else 4)


@pytest.mark.parametrize("alpha", [0, 64, 255])
def test_transparency_lies_over_white(alpha):
    pixels = decode(encoded(Image.new("RGBA", (4, 4), (*RED, alpha))), (4, 4), channels=3)
    want = np.array(RED) * alpha / 255 + 255 * (1 - alpha / 255)
    np.testing.assert_allclose(pixels[0, 0], want, atol=1)  # one rounding


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1"])
def test_transparent_colour_lies_over_white(mode):
    picture = Image.new(mode, (4, 4), 0)
    if mode == "P":
        picture.putpalette([10, 20, 30])
    data = encoded(picture, transparency=(0, 0, 0) if mode == "RGB" else 0)
    np.testing.assert_array_equal(decode(data, (4, 4), channels=3)[0, 0], WHITE)


def test_sixteen_bit_greys_are_scaled_not_clipped():
    deep = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
    pixels = decode(encoded(Image.fromarray(deep)), (8, 8), channels=1)[..., 0]
    np.testing.assert_array_equal(pixels, np.rint(deep.astype(float) / 257))


# ---- geometry ----------------------------------------------------------------------------------


def test_same_size_is_exact():
    image = gradient(7, 5)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(image)), (7, 5), channels=3), image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation(orientation, format):
    upright = gradient(48, 32)
    # What a camera stores for each orientation: the inverse of what the tag asks a viewer to do (EXIF 2.3,
    # 4.6.4).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}, "PNG": {}}[format]
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), format, exif=exif, **lossless)
    pixels = decode(data, (48, 32), channels=3)
    # JPEG of a smooth gradient is within a few levels; a wrong turn is off by 100.
    np.testing.assert_allclose(pixels.astype(int), upright, atol=6 if format == "JPEG" else 0)


def test_damaged_exif_is_no_orientation():
    data = encoded(Image.fromarray(gradient(8, 8)), "PNG", exif=b"Exif\0\0MM\0*\0\0\xff\xff garbage")
    np.testing.assert_array_equal(decode(data, (8, 8), channels=3), gradient(8, 8))


def test_reduced_jpeg_decoding_is_near_full_decoding():
    image = gradient(640, 480)
    data = encoded(Image.fromarray(image), "JPEG", quality=95, subsampling=0)
    reduced = decode(data, (32, 24), channels=3)
    want = image.reshape(32, 20, 24, 20, 3).mean((1, 3))
    # A smooth gradient has the same block means under any filter, but for JPEG's rounding and the borders.
    np.testing.assert_allclose(reduced, want, atol=4)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("crop", [None, (20, 24)])
def test_the_faster_jpeg_decoder_gives_pillows_pixels(mode, crop, monkeypatch):
    """All subsamplings, sequential and progressive, sides that blocks do not divide: not one level apart."""
    pytest.importorskip("simplejpeg")
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 13, 3), dtype=np.uint8)).resize((61, 47))
    noisy = np.asarray(coarse) + rng.normal(0, 12, (47, 61, 3))
    picture = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).convert(mode)
    asked = []
    by_simplejpeg = decoding.jpeg_pixels
    for subsampling in (0, 1, 2):
        for options in ({"quality": 40}, {"quality": 95, "progressive": True}):
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", subsampling=subsampling, **options)
            found = []
            for decoder in (by_simplejpeg, lambda data, mode: asked.append(mode)):
                monkeypatch.setattr(decoding, "jpeg_pixels", decoder)
                channels = 3 if mode == "RGB" else 1
                offset = lambda: (0.3, 0.8)  # noqa: E731
                # Large enough to be decoded at full scale.
                size = (40, 48) if crop is None else crop
                found.append(decode(buffer.getvalue(), size, channels=channels, offset=offset, crop=crop))
            np.testing.assert_array_equal(*found)
            assert by_simplejpeg(buffer.getvalue(), mode) is not None
    assert asked == [mode] * 6


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7, 1), (2, 5, 7, 3)])
def test_mirrored_is_left_to_right(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = decoding.mirrored(image)
    np.testing.assert_array_equal(found, np.flip(image, axis=-2))
    assert found.flags.c_contiguous


def test_what_the_faster_decoder_refuses_is_left_to_pillow():
    pytest.importorskip("simplejpeg")
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(buffer, "JPEG")
    whole = buffer.getvalue()
    assert decoding.jpeg_pixels(whole[: len(whole) // 2], "RGB") is None
    assert decoding.jpeg_pixels(whole, "CMYK") is None
    # Bytes after the end are no damage to Pillow.
    assert decode(whole + b"and more", (40, 40), channels=3).shape == (40, 40, 3)


def test_offsets_reach_both_ends():
    image = gradient(10, 30)
    crops = [
        decode(encoded(Image.fromarray(image)), (10, 10), channels=3, offset=lambda o=o: (o, o))
        for o in (0, 0.5, 1)
    ]
    for crop, start in zip(crops, (0, 10, 20), strict=True):
        np.testing.assert_array_equal(crop, image[:, start : start + 10])


sides = st.integers(1, 5000)


@given(width=sides, height=sides, size=st.tuples(sides, sides), offset=st.tuples(*[st.floats(0, 1)] * 2))
def test_crop_box_is_inside_and_of_the_right_shape(width, height, size, offset):
    left, top, right, bottom = crop_box((width, height), size, offset)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    # Subtracting a near-equal left from right loses digits: relative to the picture, not to the box.
    tolerance = 1e-9 * max(width, height)
    scale = min(width / size[1], height / size[0])
    assert abs(right - left - size[1] * scale) <= tolerance
    assert abs(bottom - top - size[0] * scale) <= tolerance


# ---- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.9])
def test_truncated(format, keep):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    with pytest.raises(CorruptImage):
        decode(data[: int(keep * len(data))], (8, 8), channels=3)


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"GIF89a" + b"\0" * 50, b"<svg xmlns='x'/>", b"\x89PNG\r\n\x1a\n"]
)
def test_no_picture(data):
    with pytest.raises(CorruptImage):
        decode(data, (8, 8), channels=3)


def test_other_formats_are_refused():
    with pytest.raises(CorruptImage):
        decode(encoded(Image.new("RGB", (4, 4)), "BMP"), (4, 4), channels=3)


@pytest.mark.parametrize("side", [10_000, 60_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb(side):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    with pytest.raises(CorruptImage, match="pixels"):
        decode(data + chunk(b"IEND", b""), (8, 8), channels=3)


def test_floating_point_pixels_are_refused():
    with pytest.raises(CorruptImage):
        decoding.flatten(Image.new("F", (2, 2)), 3)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_bytes_give_a_picture_or_corrupt_image(data):
    format, mode = data.draw(st.sampled_from(sorted(MODES)))
    height, width = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    raw = bytearray(encoded(Image.new(mode, (width, height), MODES[format, mode]), format))
    for _ in range(data.draw(st.integers(0, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    size = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    channels = data.draw(st.sampled_from([1, 3]))
    try:
        pixels = decode(bytes(raw), size, channels=channels)
    except CorruptImage:
        return
    assert pixels.shape == (*size, channels)
    assert pixels.dtype == np.uint8
