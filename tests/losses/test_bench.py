"""The forms that the losses are compared with compute the same thing."""

import pandas as pd
import pytest
import torch

from mlcl_utils import bench, losses
from mlcl_utils.bench import forms
from mlcl_utils.bench.measuring import peak_mib

SIZE = (20, 7, 12)


@pytest.mark.parametrize("name", [*forms._DIRECT, "kmcl", "clml"])
def test_forms_agree(name):
    labels = forms._labels(SIZE, "cpu")
    tensors = forms._tensors(losses.info(name).tensors, SIZE, "cpu")
    other = {
        "kmcl": lambda: forms._kmcl_in_a_loop(labels, tensors),
        "clml": lambda: forms._clml_by_svd(labels, tensors["features"]),
    }.get(name, lambda: forms._direct(name, labels, tensors))
    value, expected = losses.create(name)(labels, **tensors), other()
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
    kept = [key for key in tensors if not (name == "clml" and key == "logits")]
    for key in kept:
        (one,) = torch.autograd.grad(value, tensors[key], retain_graph=True)
        (two,) = torch.autograd.grad(expected, tensors[key], retain_graph=True)
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


def test_table_and_plot(tmp_path, capsys):
    threads = torch.get_num_threads()
    table = bench.losses([SIZE, (24, 9, 12)], tmp_path, repeats=2)
    assert torch.get_num_threads() == threads
    assert set(table["loss"]) == set(losses.names())
    assert {"package", "products", "direct", "loop", "svds"} == set(table["form"])
    assert (table[["time_minimum", "mem_peak"]] > 0).all(axis=None)
    assert (table["time_minimum"] <= table["time_median"]).all()
    assert {"losses.csv", "losses.pdf", "losses.svg", "losses.png"} == {
        file.name for file in tmp_path.iterdir()
    }
    assert len(pd.read_csv(tmp_path / "losses.csv")) == len(table)
    printed = capsys.readouterr().out
    assert all(name in printed for name in losses.names())


def test_only_losses_of_all_pairs_are_left_out_and_only_where_these_are_billions():
    left_out = {
        (name, size) for size in bench.SIZES for name in losses.names() if forms.takes_too_long(name, size)
    }
    assert left_out == {("mw", (1024, 4000, 256)), ("mw_logits", (1024, 4000, 256))}


def test_direct_form_needs_the_memory_that_the_package_does_not():
    size = (128, 60, 16)
    labels, tensors = forms._labels(size, "cpu"), forms._tensors(("embeddings", "prototypes"), size, "cpu")
    own = peak_mib(forms._step(lambda: losses.create("reg")(labels, **tensors), tensors), "cpu")
    direct = peak_mib(forms._step(lambda: forms._direct("reg", labels, tensors), tensors), "cpu")
    assert direct > 10 * own
    assert own > 188 * 188 * 4 / 2**20  # at least the similarities
