"""Download public data sets whose files may be had freely, check them against their checksums, and extract them.

    python -m data_scripts.download                      # what there is, and where to ask for the rest
    python -m data_scripts.download coco2017 --root /data
    python -m data_scripts.download bgc --root /data --sha256 blurbgenrecollectionen.zip=HEX   # one not known here

A download that was interrupted goes on where it was. An archive is extracted only after its checksum has been found
right, and nothing in it can be written outside the folder. Then `python -m data_scripts.convert` makes a table of the
sets that have no reader, and `mlcl data check` looks at the result.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from data_scripts.archives import extract
from mlcl_utils.errors import DataError, UsageError, unknown

BLOCK = 1 << 20
TIMEOUT = 60


@dataclass(frozen=True)
class File:
    """A file to be had.

    Attributes:
        url: from where.
        checksum: ``sha256:`` or ``md5:`` and the digest; None where it is not known for sure.
        size: in bytes; None where it is not known.
        saved_as: its name here, where that is not the address's last part.
    """

    url: str
    checksum: str | None
    size: int | None = None
    saved_as: str | None = None

    @property
    def name(self) -> str:
        return self.saved_as or PurePosixPath(self.url).name


@dataclass(frozen=True)
class Collection:
    """What belongs to a data set.

    Attributes:
        folder: where it goes under the root.
        files: all of them.
        ask: where to ask for it, or what else there is to know.
    """

    folder: str
    files: tuple[File, ...]
    ask: str = ""


_COCO = "http://images.cocodataset.org"
_VOC = "https://thor.robots.ox.ac.uk/pascal/VOC"
_RCV1 = "http://www.ai.mit.edu/projects/jmlr/papers/volume5/lewis04a"

# Checksums: COCO as TensorFlow Datasets has them, VOC torchvision, EURLEX57K and Reuters Hugging Face Datasets, RCV1's
# topics scikit-learn, MIRFLICKR's images its own page. Where there is None, no such source was found.
COLLECTIONS = {
    "coco2014": Collection(
        "coco2014",
        (
            File(
                f"{_COCO}/annotations/annotations_trainval2014.zip",
                "sha256:031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
                252_872_794,
            ),
            File(
                f"{_COCO}/zips/train2014.zip",
                "sha256:ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
                13_510_573_713,
            ),
            File(
                f"{_COCO}/zips/val2014.zip",
                "sha256:fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
                6_645_013_297,
            ),
        ),
    ),
    "coco2017": Collection(
        "coco2017",
        (
            File(
                f"{_COCO}/annotations/annotations_trainval2017.zip",
                "sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
                252_907_541,
            ),
            File(
                f"{_COCO}/zips/train2017.zip",
                "sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
                19_336_861_798,
            ),
            File(
                f"{_COCO}/zips/val2017.zip",
                "sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
                815_585_330,
            ),
        ),
    ),
    "voc2007": Collection(
        "",  # the archives hold VOCdevkit/VOC2007
        (
            File(
                f"{_VOC}/voc2007/VOCtrainval_06-Nov-2007.tar",
                "md5:c52e279531787c972589f7e41ab4ae64",
                460_032_000,
            ),
            File(
                f"{_VOC}/voc2007/VOCtest_06-Nov-2007.tar", "md5:b6e924de25625d8de591ea690078ad9f", 451_020_800
            ),
        ),
    ),
    "voc2012": Collection(
        "",
        (
            File(
                f"{_VOC}/voc2012/VOCtrainval_11-May-2012.tar",
                "md5:6cd6e144f989b92b3379bac3b3de84fd",
                1_999_639_040,
            ),
        ),
    ),
    "mirflickr": Collection(
        "mirflickr25k",
        (
            File(
                "https://press.liacs.nl/mirflickr/mirflickr25k.v3b/mirflickr25k.zip",
                "md5:a23d0a8564ee84cda5622a6c2f947785",
                3_069_184_257,
            ),
            File("https://press.liacs.nl/mirflickr/mirflickr25k.v3b/mirflickr25k_annotations_v080.zip", None),
        ),
    ),
    "eurlex": Collection(
        "eurlex57k",
        (
            File(
                "http://archive.org/download/EURLEX57K/dataset.zip",
                "sha256:dc6830ce8ea49aea049989c4a8253b12d0fb3665fc336d830cb07b9bd28c0f92",
                50_289_403,
            ),
        ),
    ),
    "reuters": Collection(
        "reuters21578",
        (
            File(
                "https://kdd.ics.uci.edu/databases/reuters21578/reuters21578.tar.gz",
                "sha256:3bae43c9b14e387f76a61b6d82bf98a4fb5d3ef99ef7e7075ff2ccbcf59f9d30",
                8_150_596,
            ),
        ),
        "for research; the texts are Reuters'",
    ),
    "rcv1": Collection(
        "rcv1",
        (
            File(
                "https://ndownloader.figshare.com/files/5976048",
                "sha256:2a98e5e5d8b770bded93afc8930d88299474317fe14181aee1466cc754d0d1c1",
                saved_as="rcv1-v2.topics.qrels.gz",
            ),
            *(
                File(f"{_RCV1}/a12-token-files/lyrl2004_tokens_{part}.dat.gz", None)
                for part in ("train", "test_pt0", "test_pt1", "test_pt2", "test_pt3")
            ),
        ),
        "stemmed words without stop words; for the texts themselves ask NIST for the Reuters corpora",
    ),
    "bgc": Collection(
        "bgc",
        (File("https://fiona.uni-hamburg.de/ca89b3cf/blurbgenrecollectionen.zip", None),),
        "https://www.inf.uni-hamburg.de/en/inst/ab/lt/resources/data/blurb-genre-collection.html",
    ),
    "aapd": Collection(
        "aapd", (), "the authors of SGM (Yang et al., 2018) share it: https://github.com/lancopku/SGM"
    ),
    "nus-wide": Collection(
        "nus-wide",
        (),
        "images by request: https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html",
    ),
}


def fetch(file: File, folder: Path, checksum: str | None = None) -> Path:
    """Download a file, or what is missing of it, and check it.

    Args:
        file: what and from where.
        folder: where to; made if missing.
        checksum: used where the file's own is not known.

    Returns:
        The file's path. It has this name only once it is whole and its checksum right.

    Raises:
        UsageError: there is no checksum to check it against.
        DataError: the server does not give it, or it is not what it should be.
    """
    expected = file.checksum or checksum
    if expected is None:
        raise UsageError(
            f"no checksum of {file.name} is known for sure; find it where you trust it, and give it: "
            f"--sha256 {file.name}=HEX"
        )
    path = folder / file.name
    if path.is_file():
        _check(path, expected, path)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    _receive(file, partial)
    _check(partial, expected, path)
    partial.replace(path)
    return path


def _receive(file: File, partial: Path) -> None:
    """Append to the partial file what it lacks."""
    have = partial.stat().st_size if partial.is_file() else 0
    if have and have == file.size:
        return
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={have}-"} if have else {})
    total = file.size
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            if have and answer.status != 206:
                have = 0  # the server sends all of it again
            if "Content-Length" in answer.headers:
                total = have + int(answer.headers["Content-Length"])
            with (
                partial.open("ab" if have else "wb") as stream,
                tqdm(
                    total=total, initial=have, unit="B", unit_scale=True, desc=file.name, disable=None
                ) as bar,
            ):
                while block := answer.read(BLOCK):
                    stream.write(block)
                    bar.update(len(block))
    except urllib.error.HTTPError as error:
        if not (have and error.code == 416):  # there is nothing behind what is here: it is whole
            raise DataError(f"{file.url}: {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{file.url}: {error}; what came stays in {partial}, run again to go on") from None
    size = partial.stat().st_size
    if total is not None and size < total:
        raise DataError(f"{file.url}: the connection ended after {size} of {total} bytes; run again to go on")


def _check(path: Path, expected: str, final: Path) -> None:
    algorithm, _, digest = expected.partition(":")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, algorithm).hexdigest()
    if found != digest.lower():
        raise DataError(
            f"{path}: its {algorithm} is {found}, not {digest}; remove it to fetch {final.name} again"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", nargs="?", help="one of: " + ", ".join(COLLECTIONS))
    parser.add_argument("--root", type=Path, default=Path("."), help="folder that the set's own goes into")
    parser.add_argument(
        "--sha256", metavar="FILE=HEX", action="append", default=[], help="checksum of a file"
    )
    options = parser.parse_args(arguments)
    if options.name is None:
        print(listing())
        return 0
    try:
        collection = COLLECTIONS.get(options.name)
        if collection is None:
            raise unknown("data set", options.name, COLLECTIONS)
        if not collection.files:
            raise UsageError(f"'{options.name}' cannot be downloaded freely: {collection.ask}")
        folder = options.root / collection.folder
        given = {
            name: f"sha256:{digest}" for name, _, digest in (word.partition("=") for word in options.sha256)
        }
        for file in collection.files:
            path = fetch(file, folder, given.get(file.name))
            done = path.with_name(f"{path.name}.extracted")
            if not done.is_file():
                extract(path, folder)
                done.touch()
    except (UsageError, DataError) as error:
        print(f"download: {error}", file=sys.stderr)
        return 1 if isinstance(error, DataError) else 2
    print(f"{options.name} is in {folder}")
    return 0


def listing() -> str:
    """What there is, and where to ask."""
    lines = []
    for name, collection in COLLECTIONS.items():
        unsure = [file.name for file in collection.files if file.checksum is None]
        words = [collection.ask] if collection.ask else []
        if unsure:
            words.append(f"give the checksum of {', '.join(unsure)}")
        free = "download" if collection.files else "ask"
        lines.append(f"{name:10} {free:9} {'; '.join(words)}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
