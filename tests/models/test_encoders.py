"""The encoders that learn from raw examples, on the embedded data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from mlcl_utils import data, models, training
from mlcl_utils.data import vectors
from mlcl_utils.data.words import MIN_TEXTS, WORD
from mlcl_utils.errors import UsageError
from mlcl_utils.models import bag, cnn
from mlcl_utils.training import Recipe

CPU = torch.device("cpu")
TEXT = data.task("debtags", num_labels=10, train_fraction=0.1)
IMAGE = data.task("fashion-scenes", num_labels=10, train_fraction=0.2)
TASKS = {"frozen": TEXT, "mlp": TEXT, "bag": TEXT, "static": TEXT, "cnn": IMAGE}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_which_encoder_reads_what():
    assert [models.suitable(name, "text") for name in TASKS] == [True, True, True, True, False]
    assert [models.suitable(name, "image") for name in TASKS] == [True, True, False, False, True]
    with pytest.raises(UsageError, match="unknown encoder 'bagg'; did you mean 'bag'"):
        models.encoder_class("bagg")


# last_stage computes maps of a whole set first: see test_last_stage.py
@pytest.mark.parametrize("name", [name for name in models.encoder_names() if name != "last_stage"])
def test_inputs_are_those_of_the_examples_of_each_part(name):
    task = TASKS[name]
    inputs = models.encoder_class(name).inputs(task)
    raw = models.encoder_class(name).raw(task)
    for part in ("train", "validation", "test"):
        assert len(inputs[part]) == raw[part].shape[0] == len(getattr(task, part))


def test_the_bag_knows_the_words_of_training_texts_and_no_others():
    inputs = models.encoder_class("bag").inputs(TEXT)
    texts = TEXT.dataset.texts()
    known = TfidfVectorizer(min_df=MIN_TEXTS, token_pattern=WORD.pattern)
    known.fit([texts[row] for row in TEXT.train.index])
    assert int(inputs["train"].max()) == len(known.vocabulary_)
    tokens = known.build_analyzer()
    for part in ("train", "test"):
        for row in (0, 7, 40):
            words = set(tokens(texts[getattr(TEXT, part).index[row]])) & set(known.vocabulary_)
            numbers = inputs[part][row]
            assert len(set(numbers[numbers > 0].tolist())) == int((numbers > 0).sum())
            assert int((numbers > 0).sum()) == min(len(words), bag.MAX_WORDS)


def test_the_baselines_read_the_tf_idf_of_scikit_learn():
    texts = TEXT.dataset.texts()
    known = TfidfVectorizer(min_df=MIN_TEXTS, token_pattern=WORD.pattern)
    known.fit([texts[row] for row in TEXT.train.index])
    tokens = known.build_analyzer()
    read = [
        [word for word in dict.fromkeys(tokens(texts[row])) if word in known.vocabulary_][: bag.MAX_WORDS]
        for row in TEXT.train.index
    ]
    expected = TfidfVectorizer(analyzer=list, smooth_idf=False).fit_transform(read)
    found = models.encoder_class("bag").raw(TEXT)["train"]
    # words have other numbers, so that cosines are compared
    assert np.allclose((found @ found.T).toarray(), (expected @ expected.T).toarray(), atol=1e-5)


def test_the_bag_is_the_weighted_sum_of_embeddings():
    idf = torch.tensor([0.0, 1.0, 2.0, 3.0])
    encoder = bag.BagOfWords(idf, width=4, dropout=0.5).eval()
    ids = torch.tensor([[1, 3, 0], [2, 0, 0]], dtype=torch.int32)
    table = encoder.words.weight.detach()
    expected = torch.stack([(1 * table[1] + 3 * table[3]) / 10**0.5, table[2]])
    assert torch.allclose(encoder(ids), expected, atol=1e-6)
    assert not table[0].any()


def test_static_starts_from_the_vectors_of_all_words_of_a_text_weighted_by_their_rarity():
    words, table = vectors.read(vectors.chosen(TEXT.dataset, None))
    kind = models.encoder_class("static")
    inputs = kind.inputs(TEXT)
    encoder = kind.create(inputs["train"], width=256, dropout=0.3, augment="none").eval()
    assert encoder.width == 256
    there = set(words)
    texts = [
        [word for word in dict.fromkeys(WORD.findall(text.lower())) if word in there][: bag.MAX_WORDS]
        for text in TEXT.dataset.texts()
    ]
    training_texts = [set(texts[row]) for row in TEXT.train.index]
    unseen = 0
    for part, position in (("train", 3), ("test", 0), ("test", 40)):
        known = texts[getattr(TEXT, part).index[position]]
        counts = [sum(word in text for text in training_texts) for word in known]
        unseen += counts.count(0)
        weights = np.log(len(TEXT.train) / np.maximum(counts, 1)) + 1
        rows = [words.index(word) for word in known]
        expected = weights @ table[rows].astype(np.float64) / np.linalg.norm(weights)
        with torch.no_grad():
            found = encoder(inputs[part][torch.tensor([position])])[0]
        assert np.allclose(found, expected, atol=1e-5)
    assert unseen  # words that no training text holds have a vector all the same


def test_a_smaller_width_takes_the_first_dimensions_and_a_larger_one_all():
    kind = models.encoder_class("static")
    train = kind.inputs(TEXT)["train"]
    narrow, wide = (kind.create(train, width=w, dropout=0.0, augment="none") for w in (32, 640))
    assert (narrow.width, wide.width) == (32, 256)
    assert torch.equal(narrow.words.weight[1:], train.vectors[:, :32].float())
    assert torch.equal(wide.words.weight[1:], train.vectors.float())
    assert not wide.words.weight[0].any()


def test_all_vectors_of_the_words_of_training_texts_are_trained():
    recipe = dataclasses.replace(Recipe.of("static", epochs=1), dropout=0.0)
    fitted = training.fit(TEXT, "bce", recipe, encoder="static", hyperparameters={}, seed=0, device=CPU)
    train = models.encoder_class("static").inputs(TEXT)["train"]
    read = np.unique(train.store[train.index].numpy())
    moved = (fitted.model.encoder.words.weight[1:] != train.vectors.float()).any(dim=1).numpy()
    assert np.array_equal(np.flatnonzero(moved) + 1, read[read > 0])


def test_images_are_moved_whole_and_only_in_training():
    image = torch.zeros(64, 1, 32, 32)
    image[:, :, 15, 15] = 1
    torch.manual_seed(0)
    moved = cnn._shifted(image)
    assert torch.equal(moved.sum(dim=(1, 2, 3)), torch.ones(64))
    rows, columns = (moved.amax(dim=dim)[:, 0].argmax(dim=1) for dim in (3, 2))
    for places in (rows, columns):
        assert set(places.tolist()) == set(range(15 - cnn.MAX_SHIFT, 15 + cnn.MAX_SHIFT + 1))
    encoder = cnn.SmallCNN(torch.zeros(1), torch.ones(1), width=8, dropout=0.0)
    pixels = torch.randint(0, 255, (4, 1, 32, 32), dtype=torch.uint8)
    assert torch.equal(encoder.eval()(pixels), encoder(pixels))
    assert not torch.equal(encoder.train()(pixels), encoder(pixels))


@pytest.mark.parametrize(
    ("name", "loss", "epochs"),
    [("bag", "bce", 3), ("bag", "reg", 3), ("static", "bce", 20), ("cnn", "bce", 8), ("cnn", "msc", 8)],
)
def test_training_teaches_the_encoder(name, loss, epochs):
    task = TASKS[name]
    recipe = Recipe.of(name, epochs=epochs)
    fitted = training.fit(task, loss, recipe, encoder=name, hyperparameters={}, seed=0, device=CPU)
    fresh = training.untrained(task, recipe, encoder=name, seed=0, device=CPU)
    inputs = models.encoder_class(name).inputs(task)
    labels = torch.from_numpy(task.train.labels), torch.from_numpy(task.validation.labels)
    found = []
    for model in (fitted.model, fresh):
        read = {part: training.represent(model, inputs[part], device=CPU) for part in ("train", "validation")}
        probe = training.fit_probe(read["train"], labels[0], read["validation"], labels[1])
        found.append(max(probe.tried.values()))
    assert found[0] > found[1] + 0.02


@pytest.mark.parametrize("name", ["bag", "static", "cnn"])
def test_training_from_raw_examples_continues_to_the_bit(name):
    task, recipe = TASKS[name], Recipe.of(name, epochs=3)

    def start() -> training.Training:
        return training.Training(task, "bce", recipe, encoder=name, hyperparameters={}, seed=1, device=CPU)

    whole, first, second = start(), start(), start()
    whole.advance()
    first.advance(1)
    second.restore(first.checkpoint())
    second.advance()
    expected, found = whole.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
