"""Text to tokens, by a tokenizer that is a local file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ulzoo.errors import DataError, RunError
from ulzoo.weights.reading import weights_path

EXTRA = "pip install 'ulzoo[clip]'"


def tokens_of(path: str, texts: Sequence[str], most: int) -> tuple[np.ndarray, np.ndarray]:
    """int32 (texts, longest) token numbers, zeros behind their end, and the place of each one's last token.

    Args:
        path: a `tokenizer.json` of the tokenizers library, which puts the tokens of beginning and end around.
        most: tokens that the network has places for; longer texts lose their end, not their last token.

    Raises:
        DataError: the file cannot be read as a tokenizer, or a text has no tokens.
        RunError: the extra `clip` is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise RunError(
            f"CLIP's text needs the package tokenizers, not installed here\n    {EXTRA}"
        ) from error
    file = weights_path(path)
    try:
        tokenizer = Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
    except Exception as error:
        # The library raises plain Exceptions.
        raise DataError(f"{file}: no tokenizer.json: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    found = [tokenizer.encode(text).ids for text in texts]
    if any(not ids for ids in found):
        raise DataError(f"{file}: gives no tokens for {texts[[len(ids) for ids in found].index(0)]!r}")
    table = np.zeros((len(found), max(map(len, found))), np.int32)
    for row, ids in enumerate(found):
        table[row, : len(ids)] = ids
    return table, np.array([len(ids) - 1 for ids in found], np.int32)
