"""Looking a user's set through, file by file, before anything is learnt from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mlcl_utils.data import features, readers, registry, user_sets, vectors
from mlcl_utils.data.dataset import Dataset
from mlcl_utils.data.image_values import scale_of
from mlcl_utils.data.images import Survey, spans, survey
from mlcl_utils.data.readers import Source
from mlcl_utils.data.readers.cells import normal
from mlcl_utils.data.readers.common import IMAGE_ENDINGS
from mlcl_utils.errors import DataError
from mlcl_utils.files import file_digest

_AHEAD = 512  # images handed to the decoding threads at a time


@dataclass(frozen=True)
class Findings:
    """What was found.

    Attributes:
        problems: what has to be mended, one line each; a study would fail on it.
        remarks: what is worth knowing.
    """

    problems: Sequence[str]
    remarks: Sequence[str]


def check(name: str, root: Path | None) -> Findings:
    """Look a user's set through: every image is decoded, every file derived from the set compared with its checksum.

    Args:
        name: as `mlcl_utils.data.load` takes it.
        root: the folder that holds the set.

    Raises:
        UsageError: no such set.
        DataError: its annotations are damaged, in another encoding, hold a label outside their list or an id twice.
    """
    base, _ = registry.parted(name)
    source = readers.find(base, root)
    dataset = user_sets.read(source)
    problems = []
    remarks = list(_counts(source, dataset))
    if dataset.modality == "image":
        damaged, surveys = _surveyed(dataset)
        problems += damaged
        remarks += [*_decoding(dataset.ids, surveys), *_unlisted(dataset)]
    for each in features.available(features.folder_of(dataset, source.folder)).values():
        if file_digest(each.folder / features.MATRIX) != each.sha256:
            problems.append(
                f"{each.folder / features.MATRIX} is damaged (SHA-256 differs); remove {each.folder}"
            )
        else:
            remarks.append(f"features: {each.folder.name}, {each.shape[1]} dimensions")
    for file in vectors.attach(dataset, source.folder, "").vectors:
        try:
            words, values = vectors.read(file)
            remarks.append(f"word vectors: {file.name}, {len(words)} words, {values.shape[1]} dimensions")
        except DataError as error:
            problems.append(str(error))
    return Findings(problems, remarks)


def _counts(source: Source, dataset: Dataset) -> Iterator[str]:
    if source.whole is not None and len(dataset) != source.whole:
        yield f"{len(dataset)} of the {source.whole} examples of the whole {source.name}: an excerpt"
    without = int((~(dataset.labels == 1).any(axis=1)).sum())
    if without:
        yield f"{without} examples without a label"
    unobserved = int((dataset.labels == -1).sum())
    if unobserved:
        yield f"{unobserved} unobserved labels"


def _surveyed(dataset: Dataset) -> tuple[list[str], list[Survey | None]]:
    """What is wrong with images, one line for each that cannot be decoded whole, and what is found of each other."""
    problems: list[str] = []
    surveys: list[Survey | None] = []
    places = list(zip(dataset.ids, dataset.column("image"), strict=True))
    with (
        ThreadPoolExecutor() as pool,
        tqdm(total=len(places), desc="images", unit="image", disable=None) as bar,
    ):
        for start in range(0, len(places), _AHEAD):
            for found in pool.map(lambda place: _survey(dataset, *place), places[start : start + _AHEAD]):
                bar.update()
                if isinstance(found, str):
                    problems.append(found)
                surveys.append(None if isinstance(found, str) else found)
    return problems, surveys


def _survey(dataset: Dataset, example: str, image: str) -> Survey | str:
    try:
        return survey(dataset.place(image), example)
    except DataError as error:
        return str(error)


def _decoding(ids: Sequence[str], surveys: Sequence[Survey | None]) -> Iterator[str]:
    """What decoding does to images, with the number of them and the first."""

    def those(seen: Callable[[Survey], bool]) -> list[str]:
        return [name for name, each in zip(ids, surveys, strict=True) if each is not None and seen(each)]

    for what, names in (
        ("turned by their orientation (EXIF)", those(lambda each: each.turned)),
        ("with transparency, laid on white", those(lambda each: each.transparent)),
        ("with several frames or pages, of which the first is read", those(lambda each: each.several)),
    ):
        if names:
            yield f"{len(names)} images {what}, such as {names[0]}"
    for depth, span in spans(each for each in surveys if each is not None).items():
        names = those(lambda each, depth=depth: each.depth == depth)  # type: ignore[misc]
        scale = scale_of(depth, *span)
        yield (
            f"{len(names)} images of {depth} values, from {span[0]:g} to {span[1]:g}: {scale.black:g} is black and "
            f"{scale.white:g} white in all of them; such as {names[0]}"
        )


def _unlisted(dataset: Dataset) -> list[str]:
    """Image files beside those of the set that no annotation lists."""
    listed: set[Path] = set()
    for image in dataset.column("image"):
        listed.update(folder / image for folder in dataset.image_folders)
    names = {normal(str(file)) for file in listed}  # a file may have its name in another form than the set
    others = [
        file
        for folder in sorted({path.parent for path in listed})
        if folder.is_dir()
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in IMAGE_ENDINGS and normal(str(file)) not in names
    ]
    return [f"{len(others)} images without annotation, such as {others[0]}"] if others else []
