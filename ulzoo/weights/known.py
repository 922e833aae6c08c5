"""Public files of weights that metrics use: where they are published, under which licence, and their hashes.

A publisher states a file's hash in the package that ships the file, or how it begins in the file's name, or
not at all. Where it is not stated whole, the hash is the one that public projects which pin the file agree
on: two at least, that have nothing to do with each other; it begins as the publisher says. Where no such two
were found there is none, and `ulzoo weights get` shows the one that came, to be compared. Addresses on the
hub name a revision, so that they cannot come to mean another file.
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
        sha256: of its bytes; empty where none is known.
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
_CLIP_B32 = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"

_FILES = (
    Known(
        "inception",
        f"{_GITHUB}/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "pt_inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "Apache-2.0",
        "features.weights of fid, rfid, kid, inception_score, precision_recall, density_coverage",
    ),
    *(
        Known(
            f"dinov2-{size}",
            f"{_META}/dinov2_vit{size}14/dinov2_vit{size}14_pretrain.pth",
            f"dinov2_vit{size}14_pretrain.pth",
            sha256,
            "Apache-2.0",
            "features.weights of fd_dinov2 and rfd_dinov2",
        )
        for size, sha256 in (
            ("s", "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"),
            ("b", "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"),
            ("l", "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"),
        )
    ),
    Known(
        "alexnet",
        f"{_TORCH}/alexnet-owt-7be5be79.pth",
        "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "BSD-3-Clause (torchvision); trained on ImageNet, whose terms may apply",
        "backbone of lpips with network: alex",
    ),
    Known(
        "vgg16",
        f"{_TORCH}/vgg16-397923af.pth",
        "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
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
            f"{_HUB}/openai/{name}/resolve/{revision}/pytorch_model.bin",
            f"{name}.bin",
            sha256,
            "MIT (the code's; the weights come without another one)",
            "weights of clip_score",
        )
        for name, revision, sha256 in (
            (
                "clip-vit-base-patch32",
                _CLIP_B32,
                "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f",
            ),
            ("clip-vit-base-patch16", "57c216476eefef5ab752ec549e440a49ae4ae5f3", ""),
            (
                "clip-vit-large-patch14",
                "32bd64288804d66eefd0ccbe215aa642df71cc41",
                "f1a17cdbe0f36fec524f5cafb1c261ea3bbbc13e346e0f74fc9eb0460dedd0d3",
            ),
        )
    ),
    Known(
        "clip-tokenizer",
        f"{_HUB}/openai/clip-vit-base-patch32/resolve/{_CLIP_B32}/tokenizer.json",
        "clip-tokenizer.json",
        "b556ac8c99757ffb677208af34bc8c6721572114111a6e0aaf5fa69ff0b8d842",
        "MIT (the code's)",
        "tokenizer of clip_score",
    ),
)

KNOWN: Mapping[str, Known] = {known.name: known for known in _FILES}
"""Name → file."""


def known_name(sha256: str) -> str | None:
    """The name of the known file that has this hash, None for any other."""
    return next((k.name for k in _FILES if k.sha256 and sha256.startswith(k.sha256)), None)
