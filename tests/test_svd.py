"""Truncation against dense SVD, Eckart-Young, and the two ends of the scale."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from lrlib.svd import singular_values, truncate, truncate_matrix

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
seeds = st.integers(0, 2**31)


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, groups=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5), nn.Linear(5, 3)
    )


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_state(model, expected):
    assert model.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


@settings(max_examples=40, deadline=None)
@given(shapes, seeds, st.floats(0, 1), st.sampled_from([0.0, 0.1, 1.0, 2.0]))
def test_truncation_scales_the_lowest_values_and_keeps_the_others(shape, seed, fraction, scale):
    W = gaussian(*shape, seed=seed)
    s = torch.linalg.svdvals(W)
    count = round(fraction * min(shape))
    expected = torch.cat([s[: len(s) - count], scale * s[len(s) - count :]]).sort(descending=True).values
    torch.testing.assert_close(torch.linalg.svdvals(truncate_matrix(W, fraction, scale=scale)), expected)


@settings(max_examples=40, deadline=None)
@given(shapes, seeds, st.floats(0, 1))
def test_no_matrix_of_the_same_rank_is_nearer_than_the_truncated_one(shape, seed, fraction):
    W = gaussian(*shape, seed=seed)
    rank = min(shape) - round(fraction * min(shape))
    cut = truncate_matrix(W, fraction)
    # The best rank-r error by Eckart and Young, and one competitor: W projected onto r random directions.
    best = torch.linalg.svdvals(W)[rank:].square().sum().sqrt()
    Q = torch.linalg.qr(gaussian(shape[1], max(rank, 1), seed=seed + 1)).Q[:, :rank]
    error = torch.linalg.matrix_norm(W - cut)
    torch.testing.assert_close(error, best, rtol=1e-7, atol=1e-12)
    assert error <= torch.linalg.matrix_norm(W - W @ Q @ Q.T) + 1e-9
    assert int(torch.linalg.matrix_rank(cut, rtol=1e-10)) == rank


def test_truncation_keeps_the_singular_vectors():
    U, V = torch.linalg.qr(gaussian(5, 5)).Q, torch.linalg.qr(gaussian(4, 4, seed=1)).Q
    W = U[:, :4] @ torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)) @ V
    expected = U[:, :4] @ torch.diag(torch.tensor([4.0, 3.0, 0.2, 0.1], dtype=torch.float64)) @ V
    torch.testing.assert_close(truncate_matrix(W, 0.5, scale=0.1), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_truncation_keeps_type_and_device(dtype, device):
    W = gaussian(4, 6).to(device, dtype)
    cut = truncate_matrix(W, 0.5)
    assert (cut.dtype, cut.device, cut.shape) == (W.dtype, W.device, W.shape)


def test_an_untouched_matrix_is_a_new_one_all_the_same():
    W = gaussian(3, 3)
    cut = truncate_matrix(W, 0.0)
    assert torch.equal(cut, W) and cut.data_ptr() != W.data_ptr()


@pytest.mark.parametrize("scale", [0.0, 0.1])
def test_truncating_nothing_gives_an_equal_network_that_shares_no_memory(scale):
    model = network()
    cut = truncate(model, 0.0, scale=scale)
    assert_same_state(cut, state(model))
    assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in cut.parameters()}


@pytest.mark.parametrize("device", DEVICES)
def test_truncating_everything_leaves_a_constant_classifier(device):
    cut = truncate(network().to(device), 1.0).eval()
    logits = cut(gaussian(8, 2, 4, 4, dtype=torch.float32).to(device))
    assert torch.equal(logits, cut[5].bias.expand(8, 3))


def test_scaling_everything_scales_the_weights():
    model = network()
    torch.testing.assert_close(truncate(model, 1.0, scale=0.1)[4].weight, 0.1 * model[4].weight)


def test_the_original_network_is_not_changed():
    model = network()
    before = state(model)
    truncate(model, 0.7)
    assert_same_state(model, before)


def test_a_convolution_is_cut_as_the_matrix_of_its_output_channels():
    model = network()
    cut = truncate(model, 0.5)
    expected = truncate_matrix(model[0].weight.detach().reshape(6, 9), 0.5).reshape(6, 1, 3, 3)
    assert torch.equal(cut[0].weight, expected)


def test_only_weight_matrices_are_touched():
    model = network()
    changed = {n for n, v in truncate(model, 0.5).state_dict().items() if not torch.equal(v, model.state_dict()[n])}
    assert changed == {"0.weight", "4.weight", "5.weight"}


def test_only_the_named_layers_are_touched():
    model = network()
    changed = {
        n for n, v in truncate(model, 0.5, layers=["4"]).state_dict().items() if not torch.equal(v, state(model)[n])
    }
    assert changed == {"4.weight"}


def test_modes_and_frozen_weights_stay_as_they_are():
    model = network().train()
    model[1].eval()
    model[4].weight.requires_grad_(False)
    cut = truncate(model, 0.5)
    assert [m.training for m in cut.modules()] == [m.training for m in model.modules()]
    assert [p.requires_grad for p in cut.parameters()] == [p.requires_grad for p in model.parameters()]


def test_a_channels_last_convolution_is_cut_like_any_other():
    model = network()
    expected = truncate(model, 0.5)[0].weight
    torch.testing.assert_close(truncate(model.to(memory_format=torch.channels_last), 0.5)[0].weight, expected)


def test_tied_weights_stay_tied_and_are_cut_once():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    cut = truncate(model, 0.5, scale=0.1)
    assert cut[0].weight is cut[2].weight
    assert torch.equal(cut[0].weight, truncate_matrix(model[0].weight.detach(), 0.5, scale=0.1))


def test_singular_values_are_listed_by_layer():
    model = network()
    values = singular_values(model)
    assert list(values) == ["0", "4", "5"]
    torch.testing.assert_close(values["0"], torch.linalg.svdvals(model[0].weight.detach().double().reshape(6, 9)))
    assert not values["4"].requires_grad


@pytest.mark.parametrize("fraction", [-0.01, 1.01, float("nan")])
def test_a_fraction_outside_the_unit_interval_is_refused(fraction):
    for cut in (truncate, truncate_matrix):
        with pytest.raises(ValueError, match=r"expected a fraction in \[0, 1\], got"):
            cut(network() if cut is truncate else torch.eye(2), fraction)


@pytest.mark.parametrize("scale", [-0.1, float("nan"), float("inf")])
def test_a_scale_that_is_no_factor_is_refused(scale):
    with pytest.raises(ValueError, match="expected a finite scale"):
        truncate(network(), 0.5, scale=scale)


@pytest.mark.parametrize("W", [torch.ones(3), torch.full((2, 2), float("nan"))])
def test_what_is_no_finite_matrix_is_refused(W):
    with pytest.raises(ValueError, match="expected a matrix of finite values"):
        truncate_matrix(W, 0.5)


def test_an_unknown_layer_is_refused_with_the_list_of_those_that_exist():
    with pytest.raises(ValueError, match=r"among 0, 4, 5, got \['1', 'fc'\]"):
        truncate(network(), 0.5, layers=["fc", "1", "4"])


def test_a_weight_that_a_parametrisation_computes_is_refused():
    model = nn.Sequential(spectral_norm(nn.Linear(3, 3)))
    with pytest.raises(ValueError, match="expected a plain weight in layer '0'"):
        truncate(model, 0.5)
