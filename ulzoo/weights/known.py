"""Public files of weights that metrics use: where they are published, under which licence, and their hashes.

A hash is stated where its publisher states it: in the file's name or address, or in the package that ships
the file. Of the others none is known, and `ulzoo weights get` shows the one that came, to be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A public file.

    Attributes:
        name: what `ulzoo weights get` calls it.
        url: where it is published.
        file: the name it is kept under.
        sha256: of its bytes, or the first digits of it; empty where the publisher states none.
        licence: of the weights, as published.
        use: the fields of a spec that take it.
    """

    name: str
    url: str
    file: str
    sha256: str
    licence: str
    use: str


_GITHUB = "https://github.com"
_META = "https://dl.fbaipublicfiles.com/dinov2"
_TORCH = "https://download.pytorch.org/models"
_LPIPS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1"
_HUB = "https://huggingface.co"

_FILES = (
    Known(
        "inception",
        f"{_GITHUB}/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "pt_inception-2015-12-05-6726825d.pth",
        "6726825d",
        "Apache-2.0",
        "features.weights of fid, rfid, kid, inception_score, precision_recall, density_coverage",
    ),
    *(
        Known(
            f"dinov2-{size}",
            f"{_META}/dinov2_vit{size}14/dinov2_vit{size}14_pretrain.pth",
            f"dinov2_vit{size}14_pretrain.pth",
            "",
            "Apache-2.0",
            "features.weights of fd_dinov2 and rfd_dinov2",
        )
        for size in "sbl"
    ),
    Known(
        "alexnet",
        f"{_TORCH}/alexnet-owt-7be5be79.pth",
        "alexnet-owt-7be5be79.pth",
        "7be5be79",
        "BSD-3-Clause (torchvision); trained on ImageNet, whose terms may apply",
        "backbone of lpips with network: alex",
    ),
    Known(
        "vgg16",
        f"{_TORCH}/vgg16-397923af.pth",
        "vgg16-397923af.pth",
        "397923af",
        "BSD-3-Clause (torchvision); trained on ImageNet, whose terms may apply",
        "backbone of lpips with network: vgg",
    ),
    Known(
        "lpips-alex",
        f"{_LPIPS}/alex.pth",
        "lpips-alex-v0.1.pth",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        "BSD-2-Clause",
        "heads of lpips with network: alex",
    ),
    Known(
        "lpips-vgg",
        f"{_LPIPS}/vgg.pth",
        "lpips-vgg-v0.1.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        "BSD-2-Clause",
        "heads of lpips with network: vgg",
    ),
    *(
        Known(
            name,
            f"{_HUB}/openai/{name}/resolve/main/pytorch_model.bin",
            f"{name}.bin",
            "",
            "MIT (the code's; the weights come without another one)",
            "weights of clip_score",
        )
        for name in ("clip-vit-base-patch32", "clip-vit-base-patch16", "clip-vit-large-patch14")
    ),
    Known(
        "clip-tokenizer",
        f"{_HUB}/openai/clip-vit-base-patch32/resolve/main/tokenizer.json",
        "clip-tokenizer.json",
        "",
        "MIT (the code's)",
        "tokenizer of clip_score",
    ),
)

KNOWN: Mapping[str, Known] = {known.name: known for known in _FILES}
"""Name → file."""


def known_name(sha256: str) -> str | None:
    """The name of the known file that has this hash, None for any other."""
    return next((k.name for k in _FILES if k.sha256 and sha256.startswith(k.sha256)), None)
