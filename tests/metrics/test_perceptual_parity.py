"""LPIPS, DINOv2 and CLIP against the libraries that define them, on random weights."""

from __future__ import annotations

import importlib
import sys
import types
from unittest import mock

import numpy as np
import pytest

from ulzoo.metrics.networks import perceptual, readers
from ulzoo.metrics.networks.dinov2 import resized_positions
from ulzoo.metrics.networks.tokens import tokens_of
from ulzoo.metrics.streams import ImageBatch
from ulzoo.weights.reading import WeightsFile

RNG = np.random.default_rng(0)
FEATURES = 1e-4
DISTANCES = 1e-3


def close(found, want, relative):
    want = np.asarray(want)
    assert found.shape == want.shape
    assert np.linalg.norm(found - want) <= relative * np.linalg.norm(want)


# ---- LPIPS -------------------------------------------------------------------------------------


def classifiers(torch):
    """Convolutions of AlexNet (1404.5997, one column) and VGG-16 (1409.1556, D), as torchvision numbers
    them."""
    nn = torch.nn

    def alex():
        widths = [(3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1)]
        widths.append((256, 256, 3, 1, 1))
        layers = []
        for place, (inputs, outputs, *sizes) in enumerate(widths):
            layers += [nn.Conv2d(inputs, outputs, *sizes), nn.ReLU()]
            if place in (0, 1, 4):
                layers.append(nn.MaxPool2d(3, 2))
        return nn.Sequential(*layers)

    def vgg():
        layers, inputs = [], 3
        for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(count):
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2, 2))
        return nn.Sequential(*layers)

    return {"alex": alex, "vgg": vgg}


def lpips_library(torch, network, features):
    """The authors' network around given convolutions; its package without what it imports for training."""
    place = importlib.util.find_spec("lpips")
    if place is None:
        pytest.skip("lpips is not installed (the extra metrics-parity)")
    package = types.ModuleType("lpips")
    package.__path__ = list(place.submodule_search_locations)
    package.normalize_tensor = lambda x, eps=1e-10: x / (x.square().sum(1, keepdim=True).sqrt() + eps)
    models = types.SimpleNamespace(
        alexnet=lambda pretrained: types.SimpleNamespace(features=features),
        vgg16=lambda pretrained: types.SimpleNamespace(features=features),
    )
    with mock.patch.dict(sys.modules):
        sys.modules |= {"lpips": package, "torchvision": types.SimpleNamespace(models=models)}
        library = importlib.import_module("lpips.lpips")
    made = library.LPIPS(net=network, pnet_rand=True, verbose=False)
    return made, f"{package.__path__[0]}/weights/v0.1/{network}.pth"


@pytest.mark.parametrize("network", ["alex", "vgg"])
def test_lpips(network, tmp_path):
    """The weights of channels are the published ones, in the file that they are published in."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    features = classifiers(torch)[network]()
    reference, heads = lpips_library(torch, network, features)
    torch.save(
        {f"features.{name}": value for name, value in features.state_dict().items()}
        | {"classifier.1.weight": torch.zeros(2)},
        tmp_path / "backbone.pth",
    )
    originals = RNG.integers(0, 256, (2, 40, 36, 3), dtype=np.uint8)
    images = np.clip(originals + RNG.integers(-60, 61, originals.shape), 0, 255).astype(np.uint8)
    with torch.no_grad():
        pair = [torch.tensor(part).permute(0, 3, 1, 2).float() / 127.5 - 1 for part in (originals, images)]
        want = reference(*pair).reshape(-1).numpy()
    read = perceptual.lpips_reader(network, str(tmp_path / "backbone.pth"), heads, None, 2)
    found = read(ImageBatch(np.arange(2), images, originals))["lpips"]
    assert want.min() > 0
    np.testing.assert_allclose(found, want, rtol=DISTANCES)
    close(found, want, FEATURES)


def test_the_published_heads_are_known():
    place = importlib.util.find_spec("lpips")
    if place is None:
        pytest.skip("lpips is not installed (the extra metrics-parity)")
    folder = place.submodule_search_locations[0]
    for network in ("alex", "vgg"):
        told = readers.described(f"{folder}/weights/v0.1/{network}.pth")
        assert told["known_as"] == f"lpips-{network}"


# ---- DINOv2 ------------------------------------------------------------------------------------


def dinov2_library(torch):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 70}
    model = transformers.Dinov2Model(transformers.Dinov2Config(**sizes, layerscale_value=0.7)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def renamed(state):
    """The library's names as the authors have them."""
    theirs = {}
    ends = {
        "embeddings.cls_token": "cls_token",
        "embeddings.mask_token": "mask_token",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
        "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
        "layernorm.weight": "norm.weight",
        "layernorm.bias": "norm.bias",
    }
    parts = {
        "attention.output.dense": "attn.proj",
        "layer_scale1.lambda1": "ls1.gamma",
        "layer_scale2.lambda1": "ls2.gamma",
    }
    import torch

    for name, value in state.items():
        if name in ends:
            theirs[ends[name]] = value
        elif ".attention.attention.query." in name:
            end = name.rpartition(".")[2]
            block = name.split(".")[2]
            whole = [state[name.replace("query", part)] for part in ("query", "key", "value")]
            theirs[f"blocks.{block}.attn.qkv.{end}"] = torch.cat(whole)
        elif ".attention.attention." not in name:
            new = name.replace("encoder.layer.", "blocks.")
            for old, part in parts.items():
                new = new.replace(old, part)
            theirs[new] = value
    return theirs


@pytest.mark.parametrize("layout", ["transformers", "dinov2"])
def test_dinov2(layout, tmp_path):
    torch = pytest.importorskip("torch")
    model = dinov2_library(torch)
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    if layout == "dinov2":
        file = WeightsFile.open(path)
        path = tmp_path / "w.pth"
        theirs = renamed({name: torch.tensor(file.array(name)) for name in file.entries})
        torch.save(theirs, path)
    images = RNG.integers(0, 256, (2, 42, 42, 3), dtype=np.uint8)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = torch.tensor((images / 255 - mean) / deviation).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        want = model(pixels).pooler_output.numpy()
    # Images of the network's size: nothing is resized but the positions, from 5 × 5 places to 3 × 3.
    read = perceptual.dinov2_reader(str(path), "pillow", 42, 0.0, 2)
    found = read(ImageBatch(np.arange(2), images))["pool"]
    assert np.linalg.norm(want[0] - want[1]) > 0.01 * np.linalg.norm(want)
    close(found, want, FEATURES)


@pytest.mark.parametrize(("side", "grid", "offset"), [(37, 16, 0.1), (37, 16, 0.0), (5, 9, 0.0), (4, 4, 0.1)])
def test_positions(side, grid, offset):
    torch = pytest.importorskip("torch")
    positions = RNG.standard_normal((1 + side**2, 6)).astype(np.float32)
    places = torch.tensor(positions[1:]).reshape(1, side, side, 6).permute(0, 3, 1, 2)
    settings = {"mode": "bicubic", "align_corners": False}
    if side == grid:
        want = places
    elif offset:
        scale = (grid + offset) / side
        want = torch.nn.functional.interpolate(places, scale_factor=(scale, scale), **settings)
    else:
        want = torch.nn.functional.interpolate(places, size=(grid, grid), **settings)
    found = resized_positions(positions, grid, offset)
    close(found[1:], want.permute(0, 2, 3, 1).reshape(-1, 6).numpy(), 1e-5)
    np.testing.assert_array_equal(found[0], positions[0])


# ---- CLIP --------------------------------------------------------------------------------------


def test_clip(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("tokenizers")
    from ulzoo.metrics.clip_score import write_random_clip

    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "intermediate_size": 96}
    config = transformers.CLIPConfig(
        text_config={
            **sizes,
            **{"hidden_size": 64, "num_attention_heads": 1, "vocab_size": 40},
            # The end's own number: the place where the library looks.
            **{"max_position_embeddings": 16, "eos_token_id": 17, "bos_token_id": 16},
        },
        vision_config={
            **sizes,
            **{"hidden_size": 128, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        },
        projection_dim=48,
    )
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    path = str(tmp_path / "model.safetensors")
    tokenizer = write_random_clip(tmp_path)["tokenizer"]
    prompts = ("a photo of the digit 3", "the digit 7 of a photo of a digit", "unheard of")
    ids, last = tokens_of(tokenizer, prompts, 16)
    assert [int(row[place]) for row, place in zip(ids, last, strict=True)] == [17, 17, 17]
    images = RNG.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    deviation = np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = torch.tensor((images / 255 - mean) / deviation).permute(0, 3, 1, 2).float()
    mask = torch.tensor(np.arange(ids.shape[1]) <= last[:, None])
    with torch.no_grad():
        out = model(input_ids=torch.tensor(ids).long(), attention_mask=mask.long(), pixel_values=pixels)
    texts, pictures = out.text_embeds.numpy(), out.image_embeds.numpy()
    module = perceptual.clip_module(path)
    close(perceptual.text_embeddings(module.text, tokenizer, prompts), texts, FEATURES)
    labels = np.array([2, 0, 1], np.int32)
    read = perceptual.clip_reader(path, tokenizer, prompts, 3)
    found = read(ImageBatch(np.arange(3), images, None, labels))["clip"]
    # The library's own answer is the cosine times a learned scale.
    cosines = out.logits_per_image.numpy() / float(model.logit_scale.detach().exp())
    np.testing.assert_allclose(found, 100 * cosines[np.arange(3), labels], rtol=DISTANCES, atol=1e-3)
    np.testing.assert_allclose(pictures @ texts.T, cosines, atol=1e-5)


def test_clip_prepares_images_as_its_library_does():
    """Shorter side, middle square; Pillow does the resizing in both."""
    Image = pytest.importorskip("PIL.Image")
    from ulzoo.metrics.networks.resizing import pillow_bicubic

    images = RNG.integers(0, 256, (1, 20, 31, 3), dtype=np.uint8)
    want = np.asarray(Image.fromarray(images[0]).resize((49, 32), Image.Resampling.BICUBIC))
    found = pillow_bicubic(images, 32, 49)[0]
    np.testing.assert_array_equal(found, want)


def test_a_files_arrays_are_checked_by_name(tmp_path):
    from ulzoo.errors import DataError
    from ulzoo.metrics.dinov2_features import write_random_dinov2

    path = write_random_dinov2(tmp_path)
    with pytest.raises(DataError, match="patches of 14 pixels do not divide 30"):
        perceptual.dinov2_module(path, 30, 0.1)
    with pytest.raises(DataError, match="not the weights of this network"):
        perceptual.clip_module(path)
    assert len(WeightsFile.open(path).entries) > 10
