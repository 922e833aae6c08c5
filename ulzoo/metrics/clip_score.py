"""CLIP score of samples: how well each shows what was asked for (Hessel et al. 2104.08718)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.errors import DataError, InterfaceError
from ulzoo.metrics.inception_features import check_pictures
from ulzoo.spec.component import SEEDS, Component
from ulzoo.spec.effect import Effect

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Evaluation, Metric, Record
    from ulzoo.metrics.collecting import Collection, Reader, Request

PathText = Annotated[str, Field(min_length=1)]
Prompt = Annotated[str, Field(min_length=1, max_length=1000)]


class CLIPScoreConfig(Component):
    """Mean over samples of 100 times the cosine between CLIP's embeddings of the sample and of a text on its
    class."""

    type: Literal["ulzoo.clip_score.v1"] = "ulzoo.clip_score.v1"
    stage: ClassVar[int] = 2
    example: ClassVar = {
        **{"weights": "clip-vit-base-patch32.bin", "tokenizer": "clip-tokenizer.json", "count": 24},
        "prompts": [f"a photo of the digit {digit}" for digit in range(10)],
    }

    weights: PathText
    """File of both towers' weights as the transformers library names them; `~` is the home folder, a relative
    path starts at the working directory."""

    tokenizer: PathText
    """The model's `tokenizer.json`."""

    prompts: tuple[Prompt, ...] = Field(min_length=1)
    """A text for each class, in their order; one for data without labels."""

    count: int = Field(default=10_000, ge=1)
    """Samples."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the samples and the bootstrap."""

    batch_size: Annotated[int, Field(gt=0, le=4096), Effect.PERFORMANCE] = 32
    """Images at a time; changes no number beyond float32's rounding."""

    @classmethod
    def example_files(cls, folder: Path) -> Mapping[str, Any]:
        """A small network with random weights, and a tokenizer of a few words."""
        return write_random_clip(folder)

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record.

        Raises:
            InterfaceError: data that are no images, another number of texts than of classes, or files that do
                not hold what they should.
            RunError: the extra `clip` is not installed.
        """
        from ulzoo.metrics.collecting import Measure, Request
        from ulzoo.metrics.networks.perceptual import clip_module
        from ulzoo.metrics.networks.tokens import tokens_of
        from ulzoo.metrics.sinks import Table
        from ulzoo.metrics.streams import Samples

        check_pictures(io)
        classes = None if io is None else (io.num_classes or 1)
        if classes is not None and classes != len(self.prompts):
            raise InterfaceError(f"{len(self.prompts)} texts for {classes} classes", "prompts")
        try:
            places = len(clip_module(self.weights, values=False).text.positions)
        except DataError as error:
            raise InterfaceError(str(error), "weights") from error
        try:
            tokens_of(self.tokenizer, self.prompts, places)
        except DataError as error:
            raise InterfaceError(str(error), "tokenizer") from error
        network = Likeness(self.weights, self.tokenizer, self.prompts, self.batch_size)
        request = Request(Samples(self.count, self.seed), Table("clip"), network)
        return Measure((request,), partial(_finish, self, request, network))


def _finish(
    config: CLIPScoreConfig,
    request: Request,
    network: Likeness,
    evaluation: Evaluation,
    collected: Collection,
) -> list[Record]:
    """One record, `clip_score`."""
    import numpy as np

    from ulzoo.diffusion.accounting import bootstrap_interval
    from ulzoo.metrics.base import Record

    values = np.asarray(collected[request], np.float64)
    protocol = {
        **evaluation.protocol,
        **collected.protocols[request.stream],
        "seed": config.seed,
        "images": len(values),
        **network.protocol(),
        "interval": "95 %, bootstrap over images",
    }
    interval = bootstrap_interval(values[:, None], seed=config.seed)
    return [Record("stage2/train/clip_score", float(values.mean()), "1", protocol, interval)]


@dataclass(frozen=True)
class Likeness:
    """The `clip` of a batch of samples."""

    weights: str
    tokenizer: str
    prompts: tuple[str, ...]
    batch_size: int

    def open(self) -> Reader:
        from ulzoo.metrics.networks.perceptual import clip_reader

        return clip_reader(self.weights, self.tokenizer, self.prompts, self.batch_size)

    def protocol(self) -> Mapping[str, Any]:
        """Which weights, and which texts."""
        from ulzoo.metrics.networks.readers import described
        from ulzoo.weights.reading import sha256_of, weights_path

        return {
            "network": "CLIP",
            "resize": "shorter side, bicubic, antialiased, bytes; the square in the middle",
            "weights": described(self.weights),
            "tokenizer_sha256": sha256_of(weights_path(self.tokenizer)),
            "prompts": list(self.prompts),
        }


def write_random_clip(folder: Path) -> dict[str, str]:
    """A small network with random weights and a tokenizer of digits and a few words, for examples; the fields
    that name them."""
    import json

    from ulzoo.metrics.networks.clip import clip, small
    from ulzoo.weights.reading import random_tensors
    from ulzoo.weights.safetensors_file import write_safetensors

    weights, tokenizer = folder / "clip.safetensors", folder / "tokenizer.json"
    write_safetensors(weights, random_tensors(lambda take: clip(take, image_depth=1, text_depth=1), small))
    words = ["[UNK]", *"0123456789", "a", "photo", "of", "the", "digit", "<start>", "<end>"]
    ends = [{"SpecialToken": {"id": word, "type_id": 0}} for word in ("<start>", "<end>")]
    one = [ends[0], {"Sequence": {"id": "A", "type_id": 0}}, ends[1]]
    specials = {
        word: {"id": word, "ids": [words.index(word)], "tokens": [word]} for word in ("<start>", "<end>")
    }
    described = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": one,
            "pair": [*one, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": specials,
        },
        "model": {
            "type": "WordLevel",
            "vocab": {word: number for number, word in enumerate(words)},
            "unk_token": "[UNK]",
        },
    }
    tokenizer.write_text(json.dumps(described), encoding="utf-8")
    return {"weights": str(weights), "tokenizer": str(tokenizer)}
