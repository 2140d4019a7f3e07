"""Features in units that make them so large or small that float32 cannot hold their squares."""

from __future__ import annotations

import pytest
import torch

from mlcl_utils.models.frozen import FrozenFeatures, moments
from mlcl_utils.training.baselines import nearest_neighbours
from mlcl_utils.training.probe import fit_probe

FACTORS = (1e20, 1e-25)


def features(rows: int = 120) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (rows, 6), and labels (rows, 2) that the first two of them decide."""
    values = torch.randn(rows, 6, generator=torch.Generator().manual_seed(0)) + 3
    return values, (values[:, :2] > 3).to(torch.int8)


@pytest.mark.parametrize("factor", FACTORS)
def test_moments(factor: float) -> None:
    values, _ = features()
    values[:, 5] = 2
    mean, scale = moments(values)
    assert torch.equal(mean, values.mean(dim=0))
    assert torch.equal(scale, values.std(dim=0))
    values[:, :3] *= factor
    odd_mean, odd_scale = moments(values)
    assert torch.equal(odd_mean[3:], mean[3:])
    torch.testing.assert_close(odd_mean[:3] / factor, mean[:3])
    torch.testing.assert_close(odd_scale[:3] / factor, scale[:3])


@pytest.mark.parametrize("factor", FACTORS)
def test_the_unit_of_features_changes_nothing(factor: float) -> None:
    values, labels = features()
    train, test = values[:80], values[80:]
    expected = nearest_neighbours(train, labels[:80], test)
    torch.testing.assert_close(nearest_neighbours(train * factor, labels[:80], test * factor), expected)

    probe = fit_probe(train, labels[:80], test, labels[80:])
    other = fit_probe(train * factor, labels[:80], test * factor, labels[80:])
    assert other.penalty == probe.penalty
    torch.testing.assert_close(other.scores(test * factor), probe.scores(test), rtol=1e-3, atol=1e-3)

    encoders = []
    for each in (train, train * factor):
        torch.manual_seed(0)
        encoders.append(FrozenFeatures.create(each, width=4, dropout=0.0, augment="none").eval())
    torch.testing.assert_close(encoders[1](test * factor), encoders[0](test), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", [57, 65, 85])
def test_a_probe_is_fitted_where_nearly_all_features_are_constant(seed: int) -> None:
    # as of an encoder that has collapsed; torch's decomposition fails on the covariance of these
    generator = torch.Generator().manual_seed(seed)
    live = torch.randperm(1280, generator=generator)[:30]
    values = torch.relu(torch.randn(200, 30, generator=generator))
    values *= torch.rand(200, 30, generator=generator) < 0.05
    features = torch.zeros(200, 1280)
    features[:, live] = values
    labels = (values[:, :3] > 0).to(torch.int8)
    probe = fit_probe(features, labels, features, labels)
    alone = fit_probe(values, labels, values, labels)
    assert max(probe.tried.values()) == pytest.approx(max(alone.tried.values()), abs=0.01)
    assert max(probe.tried.values()) > 0.9
