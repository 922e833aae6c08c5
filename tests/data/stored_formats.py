"""Each format that is read: the dataset that reads it, and what stores the pictures in it."""

from __future__ import annotations

import zipfile

from stored_pictures import as_folder, as_parquet, as_tar, as_zip

from ulzoo.data.image_folder import ImageFolderConfig
from ulzoo.data.parquet import ParquetConfig
from ulzoo.data.webdataset import WebDatasetConfig
from ulzoo.data.zip_archive import ZipConfig

FORMATS = {
    "folder": (ImageFolderConfig, as_folder),
    "zip": (ZipConfig, as_zip),
    "stored zip": (ZipConfig, lambda path: as_zip(path, zipfile.ZIP_STORED)),
    "tar": (WebDatasetConfig, as_tar),
    "parquet": (ParquetConfig, as_parquet),
    "parquet of bytes": (ParquetConfig, lambda path: as_parquet(path, struct=False)),
}


def opened(config, root, **fields):
    fields = {"size": 4, "heldout_root": str(root)} | fields
    return config(root=str(root), **fields).open("train")
