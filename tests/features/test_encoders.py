"""Encoders give what the network itself gives, and refuse what they cannot read."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision import models
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.features import open_encoder
from tests.features.models import write_image_model, write_text_model


def png(seed: int, size: tuple[int, int] = (90, 60)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = [(f"image {i}", png(i, (80 + 10 * i, 60))) for i in range(3)]


def encoded(encoder: Any, examples: list[Any]) -> np.ndarray:
    with torch.inference_mode():
        return encoder.encode(encoder.prepare(examples)).numpy()


def drawn(name: str, **settings: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    return models.get_model(name, weights=None, **settings).eval()


@pytest.mark.parametrize(("name", "last"), [("resnet18", "fc"), ("mobilenet_v3_small", "classifier.3")])
def test_features_are_the_inputs_of_the_last_layer_on_images_prepared_as_published(
    name: str, last: str
) -> None:
    model = drawn(name)
    seen = []
    model.get_submodule(last).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    preset = models.get_model_weights(name).DEFAULT.transforms()
    with torch.inference_mode():
        model(torch.stack([preset(Image.open(io.BytesIO(image))) for _, image in IMAGES]))
    found = encoded(open_encoder(name, "image", weights="random"), IMAGES)
    assert found.shape == tuple(seen[0].shape)
    np.testing.assert_allclose(found, seen[0].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["vgg11", "vit_b_32", "swin_t", "convnext_tiny", "densenet121"])
def test_the_last_layer_is_found_in_every_architecture(name: str) -> None:
    with torch.device("meta"):
        whole = models.get_model(name, weights=None)
    from mlcl_utils.features.vision import without_last_layer

    _, last = without_last_layer(whole, name)
    assert last in {"classifier.6", "heads.head", "head", "classifier.2", "classifier"}


def test_a_network_without_a_last_linear_layer_is_refused() -> None:
    with pytest.raises(UsageError, match="'squeezenet1_1' has no linear layer"):
        open_encoder("squeezenet1_1", "image", weights="random")


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return encoded(open_encoder("resnet18", "image", weights="random"), IMAGES)


class TestWeightsFromAFile:
    @pytest.mark.parametrize("form", ["plain", "wrapped", "parallel", "safetensors", "other classes"])
    def test_forms(self, tmp_path: Path, expected: np.ndarray, form: str) -> None:
        state = drawn("resnet18").state_dict()
        path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
        if form == "other classes":
            state["fc.weight"], state["fc.bias"] = torch.zeros(80, 512), torch.zeros(80)
        if form == "parallel":
            state = {f"module.{name}": value for name, value in state.items()}
        if form == "safetensors":
            save_file(state, path)
        else:
            torch.save({"epoch": 3, "state_dict": state} if form == "wrapped" else state, path)
        encoder = open_encoder("resnet18", "image", weights=str(path))
        assert np.array_equal(encoded(encoder, IMAGES), expected)
        assert encoder.digest() == open_encoder("resnet18", "image", weights="random").digest()

    def test_other_weights_are_another_encoder(self, tmp_path: Path) -> None:
        state = drawn("resnet18").state_dict()
        state["conv1.weight"][0, 0, 0, 0] += 1
        torch.save(state, tmp_path / "w.pth")
        encoder = open_encoder("resnet18", "image", weights=str(tmp_path / "w.pth"))
        assert encoder.digest() != open_encoder("resnet18", "image", weights="random").digest()

    def test_nothing_is_unpickled(self, tmp_path: Path) -> None:
        class Payload:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(tmp_path / "written"),)

        torch.save({"state_dict": Payload()}, tmp_path / "w.pth")
        with pytest.raises(DataError, match=r"w\.pth holds other things than weights"):
            open_encoder("resnet18", "image", weights=str(tmp_path / "w.pth"))
        assert not (tmp_path / "written").exists()

    def test_files_that_do_not_fit(self, tmp_path: Path) -> None:
        path = tmp_path / "w.pth"
        with pytest.raises(UsageError, match=r"w\.pth is missing"):
            open_encoder("resnet18", "image", weights=str(path))
        torch.save(drawn("resnet18").state_dict(), path)
        path.write_bytes(path.read_bytes()[:10_000])
        with pytest.raises(DataError, match=r"w\.pth is damaged, or not a file of weights"):
            open_encoder("resnet18", "image", weights=str(path))
        torch.save(drawn("mobilenet_v3_small").state_dict(), path)
        with pytest.raises(DataError, match=r"w\.pth is of another encoder: it has no 'conv1\.weight'"):
            open_encoder("resnet18", "image", weights=str(path))


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_model(tmp_path_factory.mktemp("models") / "tiny-bert")


TEXTS = [
    ("a", "this is a long, slow film"),
    ("b", "funny"),
    ("c", "the review of the note is about number 9 " * 9),
    ("d", ""),
]


def test_texts_are_the_mean_over_their_own_tokens(text_model: Path) -> None:
    encoder = open_encoder(str(text_model), "text", max_tokens=40)
    assert encoder.name == "tiny-bert"
    model, tokenizer = AutoModel.from_pretrained(text_model).eval(), AutoTokenizer.from_pretrained(text_model)
    found = encoded(encoder, TEXTS)
    for row, (_, text) in zip(found, TEXTS, strict=True):
        with torch.inference_mode():
            states = model(
                **tokenizer(text, truncation=True, max_length=40, return_tensors="pt")
            ).last_hidden_state
        np.testing.assert_allclose(row, states[0].mean(dim=0).numpy(), atol=1e-5)
    assert not np.allclose(
        found[2], encoded(open_encoder(str(text_model), "text", max_tokens=20), TEXTS)[2], atol=1e-3
    )


def test_no_more_tokens_are_read_than_the_model_has_places_for(text_model: Path) -> None:
    encoder = open_encoder(str(text_model), "text", max_tokens=512)
    assert encoded(encoder, TEXTS).shape == (4, 16)
    assert "at most 64 tokens" in encoder.preparation


def test_images_by_hugging_face(tmp_path: Path) -> None:
    folder = write_image_model(tmp_path / "tiny-vit")
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoImageProcessor.from_pretrained(folder)
    images = [Image.open(io.BytesIO(image)) for _, image in IMAGES]
    with torch.inference_mode():
        expected = model(**processor(images=images, return_tensors="pt")).pooler_output.numpy()
    np.testing.assert_allclose(encoded(open_encoder(str(folder), "image"), IMAGES), expected, atol=1e-5)
    named = open_encoder("tiny-vit", "image", weights=str(folder))
    np.testing.assert_allclose(encoded(named, IMAGES), expected, atol=1e-5)


def test_weights_that_a_model_lacks_are_never_drawn(tmp_path: Path) -> None:
    folder = write_image_model(tmp_path / "no-pooler", pooling=False)
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoImageProcessor.from_pretrained(folder)
    images = [Image.open(io.BytesIO(image)) for _, image in IMAGES]
    with torch.inference_mode():
        states = model(**processor(images=images, return_tensors="pt")).last_hidden_state
    found = encoded(open_encoder(str(folder), "image"), IMAGES)
    np.testing.assert_allclose(found, states.mean(dim=1).numpy(), atol=1e-5)
    weights = folder / "model.safetensors"
    state = load_file(weights)
    del state["layernorm.weight"]
    save_file(state, weights, metadata={"format": "pt"})
    with pytest.raises(DataError, match="lacks weights, such as"):
        open_encoder(str(folder), "image")


@pytest.mark.parametrize(
    ("name", "modality", "weights", "said"),
    [
        ("resnet5", "image", None, "unknown encoder 'resnet5'; did you mean 'resnet50'"),
        ("resnet18", "text", None, "'resnet18' reads images, and the examples are texts"),
        ("resnet18", "features", None, "features of its own"),
        (
            "resnet18",
            "image",
            "IMAGENET1K_V9",
            "unknown weights 'IMAGENET1K_V9'; did you mean 'IMAGENET1K_V1'",
        ),
        ("/no/such/folder", "text", None, "'/no/such/folder' is not a folder"),
        ("bert", "text", "/no/such/folder", "'/no/such/folder' is not the folder of a Hugging Face model"),
    ],
)
def test_encoders_that_cannot_be(name: str, modality: Any, weights: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_encoder(name, modality, weights=weights)


def test_a_folder_without_a_model_and_weights_that_are_pickled(tmp_path: Path, text_model: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a Hugging Face text model"):
        open_encoder(str(tmp_path), "text")
    folder = tmp_path / "pickled"
    folder.mkdir()
    for file in text_model.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    torch.save(AutoModel.from_pretrained(text_model).state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(DataError, match="cannot be read as a Hugging Face text model"):
        open_encoder(str(folder), "text")


def test_images_that_cannot_be_decoded_are_named(tmp_path: Path) -> None:
    encoder = open_encoder("mobilenet_v3_small", "image", weights="random")
    buffer = io.BytesIO()
    Image.open(io.BytesIO(IMAGES[0][1])).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    (tmp_path / "text.jpg").write_text("no image")
    for name in ("cut.jpg", "text.jpg"):
        with pytest.raises(DataError, match=f"image .*{name} cannot be decoded"):
            encoder.prepare([*IMAGES, ("example 7", tmp_path / name)])
    with pytest.raises(DataError, match="image of example 'example 7' cannot be decoded"):
        encoder.prepare([("example 7", b"GIF89a")])
