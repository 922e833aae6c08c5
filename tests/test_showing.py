"""The grid of samples: about square, each column of one class where classes are few."""

import pytest

from ulzoo.showing import columns_for


@pytest.mark.parametrize(
    ("images", "classes", "columns", "by_class"),
    [
        (100, 10, 10, True),
        (20, 10, 10, True),
        (32, 2, 6, True),  # two columns of sixteen would be a strip, several screens tall
        (4, 2, 2, True),
        (1000, 3, 18, True),
        (400, 20, 20, True),
        (36, 21, 6, False),
        (36, 1, 6, False),
        (36, None, 6, False),
        (1, None, 1, False),
    ],
)
def test_columns(images, classes, columns, by_class):
    assert columns_for(images, classes) == (columns, by_class)
