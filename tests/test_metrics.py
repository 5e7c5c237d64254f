"""Metrics against closed forms, brute force and a hand-built scikit-learn chain."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn

from lrlib import metrics
from lrlib.linalg import singular_values
from lrlib.metrics import (
    accuracy,
    correct,
    dissimilarity,
    feature_batches,
    features,
    fit_max_margin,
    layer_cushion,
    layer_cushions,
    layer_inputs,
    layer_passes,
    max_margin_accuracy,
    max_margin_predictions,
    predictions,
    propagation,
    random_pixel_noise,
    rho,
)

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
seeds = st.integers(0, 2**31)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def network():
    """Batch norm and dropout notice the mode; the ReLU overwrites what comes before it."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Dropout(), nn.Linear(16, 3)
    )


# accuracy


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_predictions_are_the_largest_logits_in_any_batch_size(batch_size):
    logits = gaussian(7, 5)
    assert predictions(lambda x: x, logits, batch_size=batch_size).tolist() == logits.argmax(1).tolist()


def test_attacked_accuracy_is_accuracy_on_attacked_examples_with_the_clean_labels():
    x, y = torch.eye(4), torch.arange(4)
    x_adv = x.clone()
    x_adv[1] = x[0]
    assert accuracy(lambda z: z, x, y) == 1.0
    assert correct(lambda z: z, x_adv, y).tolist() == [True, False, True, True]
    assert accuracy(lambda z: z, x_adv, y) == 0.75


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_run_in_eval_mode_and_left_in_its_own(training, device):
    model = network().to(device).train(training)
    model[1].eval()
    modes, before = [m.training for m in model.modules()], [b.clone() for b in model.buffers()]
    x = gaussian(9, 1, 4, 4, dtype=torch.float32).to(device)
    first, again = features(model, x, "4"), features(model, x, "4")
    predictions(model, x)
    assert torch.equal(first, again) and not first.requires_grad
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(now, then) for now, then in zip(model.buffers(), before, strict=True))


def test_a_model_that_raises_is_still_left_as_it_was():
    model = network().train()
    with pytest.raises(RuntimeError):
        features(model, torch.ones(2, 5, 4, 4), "1")
    assert all(m.training and not m._forward_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (torch.tensor([0, 1]), r"integer labels of shape \(3,\), got torch.int64 \(2,\)"),
        (torch.tensor([[0], [1], [2]]), r"got torch.int64 \(3, 1\)"),
        (torch.tensor([0.0, 1.0, 1.0]), "got torch.float32"),
        (torch.tensor([0, 1, 2]), r"labels in \[0, 2\), got labels from 0 to 2"),
        (torch.tensor([-1, 1, 1]), "got labels from -1 to 1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        correct(lambda x: x, torch.ones(3, 2), y)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda x: x[:, 0], r"expected logits of shape \(3, classes\), got \(3,\)"),
        (lambda x: x[:1], r"got \(1, 2\)"),
        (lambda x: x * float("nan"), "got NaN in 3 of 3 examples"),
    ],
)
def test_outputs_that_are_no_logits_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        predictions(model, torch.ones(3, 2))


def test_no_examples_and_no_batch_size_are_refused():
    with pytest.raises(ValueError, match="at least one example"):
        predictions(lambda x: x, torch.ones(0, 2))
    with pytest.raises(ValueError, match="batch_size >= 1, got 0"):
        predictions(lambda x: x, torch.ones(3, 2), batch_size=0)


# size of a perturbation


def test_rho_of_a_scaled_image_is_the_scale_minus_one():
    x = gaussian(5, 3, 4, 4)
    assert rho(x, 1.25 * x).item() == pytest.approx(0.25)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(1e-3, 1e3))
def test_dissimilarity_ignores_a_common_scale_and_rotation(seed, scale):
    x, x_adv = gaussian(4, 6, seed=seed), gaussian(4, 6, seed=seed + 1)
    Q = torch.linalg.qr(gaussian(6, 6, seed=seed + 2)).Q
    torch.testing.assert_close(dissimilarity(scale * x @ Q, scale * x_adv @ Q), dissimilarity(x, x_adv))


def test_rho_is_the_mean_of_the_ratios_and_not_the_ratio_of_the_means():
    x, x_adv = torch.tensor([[1.0], [100.0]]), torch.tensor([[2.0], [100.0]])
    assert dissimilarity(x, x_adv).tolist() == [1.0, 0.0]
    assert rho(x, x_adv).item() == 0.5


def test_propagation_through_a_linear_map_is_exact():
    x, delta, M = gaussian(6, 5), 0.1 * gaussian(6, 5, seed=1), gaussian(5, 3, seed=2)
    into, out = propagation(x, x + delta, x @ M, (x + delta) @ M)
    torch.testing.assert_close(into, (delta**2).sum(1) / (x**2).sum(1))
    torch.testing.assert_close(out, ((delta @ M) ** 2).sum(1) / ((x @ M) ** 2).sum(1))


def test_an_isometry_passes_a_perturbation_on_unchanged():
    x, x_adv, Q = gaussian(6, 5), gaussian(6, 5, seed=1), torch.linalg.qr(gaussian(5, 5, seed=2)).Q
    into, out = propagation(x, x_adv, 7 * x @ Q, 7 * x_adv @ Q)
    torch.testing.assert_close(out, into)


@pytest.mark.parametrize(
    ("x", "x_adv", "message"),
    [
        (torch.ones(2, 3), torch.ones(2, 4), r"of one shape, got \(2, 3\) and \(2, 4\)"),
        (torch.ones(0, 3), torch.ones(0, 3), "non-empty"),
        (torch.tensor([[1.0], [0.0]]), torch.ones(2, 1), "got 1 that are all zero, the first at index 1"),
        (torch.ones(1, 2), torch.full((1, 2), float("nan")), "expected finite examples"),
    ],
)
def test_pairs_without_a_ratio_are_refused(x, x_adv, message):
    with pytest.raises(ValueError, match=message):
        rho(x, x_adv)


def test_one_representation_per_example_is_required():
    with pytest.raises(ValueError, match="one representation per example"):
        propagation(torch.ones(2, 3), torch.ones(2, 3), torch.ones(4, 3), torch.ones(4, 3))


# noise


@pytest.mark.parametrize("probability", [0.4, 0.6, 0.8])
def test_the_share_of_perturbed_positions_is_binomial_around_the_probability(probability):
    x = torch.full((8, 3, 32, 32), 0.5)
    touched = random_pixel_noise(x, probability, generator=seeded(), clip=False) != x
    assert torch.equal(touched.all(1), touched.any(1))
    positions = touched.any(1).numel()
    five_sigma = 5 * math.sqrt(probability * (1 - probability) / positions)
    assert abs(touched.any(1).double().mean().item() - probability) < five_sigma


@pytest.mark.parametrize("std", [128 / 255, math.sqrt(128 / 255), 0.1])
def test_the_noise_is_centred_with_the_given_standard_deviation(std):
    x = torch.zeros(8, 3, 32, 32)
    noise = random_pixel_noise(x, 1.0, std=std, generator=seeded(), clip=False).double()
    n = noise.numel()
    assert abs(noise.mean().item()) < 5 * std / math.sqrt(n)
    assert abs(noise.std().item() / std - 1) < 5 / math.sqrt(2 * n)


def test_the_noise_is_independent_between_channels():
    noise = random_pixel_noise(torch.zeros(8, 3, 32, 32), 1.0, generator=seeded(), clip=False)
    correlation = torch.corrcoef(noise.transpose(0, 1).flatten(1))
    off_diagonal = correlation[~torch.eye(3, dtype=torch.bool)]
    assert off_diagonal.abs().max() < 5 / math.sqrt(8 * 32 * 32)


def test_a_standard_deviation_per_channel_scales_each_channel():
    x, std = torch.zeros(1, 2, 4, 4), torch.tensor([1.0, 0.25]).view(2, 1, 1)
    plain = random_pixel_noise(x, 0.7, std=1.0, generator=seeded(), clip=False)
    torch.testing.assert_close(random_pixel_noise(x, 0.7, std=std, generator=seeded(), clip=False), plain * std)


def test_a_larger_probability_perturbs_a_superset_by_the_same_amounts():
    x = torch.full((2, 3, 8, 8), 0.5)
    some, more = (random_pixel_noise(x, p, generator=seeded(), clip=False) for p in (0.4, 0.8))
    touched = some != x
    assert torch.equal(some[touched], more[touched])
    assert (more != x).sum() > touched.sum()


@pytest.mark.parametrize("device", DEVICES)
def test_noise_follows_the_generator_and_stays_within_pixels_and_type(device):
    x = torch.rand(4, 3, 8, 8, generator=seeded(1)).to(torch.bfloat16)
    here, there = (random_pixel_noise(z, 1.0, generator=seeded()) for z in (x, x.to(device)))
    assert torch.equal(here, there.cpu())
    assert there.dtype is x.dtype and there.device.type == device
    assert 0 <= here.min() and here.max() <= 1


def test_probability_zero_changes_nothing():
    x = torch.rand(4, 3, 8, 8, generator=seeded())
    assert torch.equal(random_pixel_noise(x, 0.0, generator=seeded()), x)


@pytest.mark.parametrize(
    ("x", "probability", "std", "message"),
    [
        (torch.ones(3, 8, 8), 0.5, 0.1, "expected floating-point images"),
        (torch.ones(1, 3, 8, 8, dtype=torch.uint8), 0.5, 0.1, "got torch.uint8"),
        (torch.ones(1, 3, 8, 8), 1.5, 0.1, r"probability in \[0, 1\], got 1.5"),
        (torch.ones(1, 3, 8, 8), float("nan"), 0.1, "got nan"),
        (torch.ones(1, 3, 8, 8), 0.5, -0.1, "finite and not negative"),
        (torch.ones(1, 3, 8, 8), 0.5, torch.ones(3), r"std to broadcast against \(1, 3, 8, 8\), got shape \(3,\)"),
    ],
)
def test_noise_that_makes_no_sense_is_refused(x, probability, std, message):
    with pytest.raises(ValueError, match=message):
        random_pixel_noise(x, probability, std=std, generator=seeded())


# representations


def test_features_are_the_flattened_output_of_the_tap():
    model, x = network().eval(), gaussian(9, 1, 4, 4, dtype=torch.float32)
    expected = model[1](model[0](x)).detach().flatten(1)
    torch.testing.assert_close(features(model, x, "1", batch_size=4), expected)


def test_an_in_place_layer_after_the_tap_does_not_reach_back_into_the_features():
    assert (features(network(), gaussian(9, 1, 4, 4, dtype=torch.float32), "1") < 0).any()


def test_the_empty_tap_is_the_model_itself():
    model, x = network().eval(), gaussian(9, 1, 4, 4, dtype=torch.float32)
    torch.testing.assert_close(features(model, x, ""), model(x).detach())


def test_streamed_features_have_the_spectrum_of_all():
    model, x = network(), gaussian(20, 1, 4, 4, dtype=torch.float32)
    s = singular_values(feature_batches(model, x, "4", batch_size=6))
    torch.testing.assert_close(s, singular_values(features(model, x, "4")), rtol=1e-6, atol=1e-6)


def test_an_abandoned_stream_leaves_no_trace_in_the_model():
    model = network().train()
    stream = feature_batches(model, gaussian(9, 1, 4, 4, dtype=torch.float32), "1", batch_size=2)
    next(stream)
    assert all(m.training and not m._forward_hooks for m in model.modules())


def test_an_unknown_tap_is_refused_at_once_with_the_list_of_those_that_exist():
    for refuse in (lambda x: feature_batches(network(), x, "fc"), lambda x: layer_inputs(network(), "fc", x)):
        with pytest.raises(ValueError, match="one of 0, 1, 2, 3, 4, 5, got 'fc'"):
            refuse(torch.ones(1, 1, 4, 4))


def test_a_long_list_of_taps_is_cut():
    model = nn.Sequential(*[nn.Identity() for _ in range(50)])
    with pytest.raises(ValueError, match="38, 39 and 10 more, got '50'"):
        features(model, torch.ones(1, 1), "50")


class Odd(nn.Module):
    """Runs one child twice, one never; another one returns two tensors, and one drops an example."""

    def __init__(self):
        super().__init__()
        self.twice, self.never = nn.Identity(), nn.Identity()
        self.pair, self.short = nn.LSTM(3, 3, batch_first=True), nn.Flatten(0)

    def forward(self, x):
        return self.twice(self.twice(x)) + self.pair(x)[0] + self.short(x)[: len(x), None]


@pytest.mark.parametrize(
    ("tap", "message"),
    [
        ("twice", "it ran 2 times"),
        ("never", "it ran 0 times"),
        ("pair", "expected one tensor at tap 'pair', got tuple"),
        ("short", r"expected a tensor \(2, ...\) at tap 'short', got shape \(6,\)"),
    ],
)
def test_a_tap_without_one_row_per_example_is_refused(tap, message):
    with pytest.raises(ValueError, match=message):
        features(Odd(), torch.ones(2, 3), tap)


def test_layer_inputs_are_what_enters_the_layer():
    model, x = network().eval(), gaussian(9, 1, 4, 4, dtype=torch.float32)
    torch.testing.assert_close(torch.cat(list(layer_inputs(model, "5", x, batch_size=4))), model[:5](x).detach())
    torch.testing.assert_close(torch.cat(list(layer_inputs(model, "0", x, batch_size=4))), x)


@pytest.mark.parametrize(
    ("tap", "message"), [("twice", "it ran 2 times"), ("never", "it ran 0 times"), ("pair", "tuple")]
)
def test_a_pass_through_a_tap_without_one_row_per_example_is_refused(tap, message):
    with pytest.raises(ValueError, match=message):
        list(layer_passes(Odd(), [tap], torch.ones(2, 3)))


def test_passes_are_what_enters_and_what_leaves_even_where_a_layer_works_in_place():
    model, x = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True)), gaussian(5, 3, dtype=torch.float32)
    first, second = layer_passes(model, ["0", "1"], x, batch_size=3)
    before = torch.cat([first["1"][0], second["1"][0]])
    torch.testing.assert_close(before, model[0](x).detach())
    torch.testing.assert_close(torch.cat([first["1"][1], second["1"][1]]), before.relu())
    assert (before < 0).any() and torch.equal(first["0"][0], x[:3])


# layer cushion

CONVOLUTIONS = [
    nn.Conv2d(2, 3, 3),
    nn.Conv2d(2, 3, 3, padding=1),
    nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False),
    nn.Conv2d(4, 4, 3, padding=1, groups=2),
    nn.Conv2d(4, 4, 3, padding=2, groups=4, dilation=2),
    nn.Conv2d(2, 3, (3, 1), stride=(2, 1), padding=(1, 0)),
    nn.Conv2d(2, 3, 3, padding="same"),
    nn.Conv2d(2, 3, 1, stride=2),
    nn.Linear(7, 5),
]


def operator(layer, shape):
    """The explicit matrix of a layer's linear part: its response to every unit vector, one column each."""
    units = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    return (layer(units) - layer(torch.zeros_like(units))).detach().flatten(1).T


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_the_cushion_is_that_of_the_explicit_matrix(layer):
    layer = layer.double()
    shape = (7,) if isinstance(layer, nn.Linear) else (layer.in_channels, 5, 6)
    inputs = gaussian(3, *shape)
    W, phi = operator(layer, shape), inputs.flatten(1)
    expected = (phi @ W.T).norm(dim=1) / (W.norm() * phi.norm(dim=1))
    torch.testing.assert_close(layer_cushion(layer, inputs), expected)


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_the_two_norms_differ_by_the_ratio_of_matrix_and_kernel(layer):
    layer = layer.double()
    shape = (7,) if isinstance(layer, nn.Linear) else (layer.in_channels, 5, 6)
    inputs = gaussian(3, *shape)
    ratio = operator(layer, shape).norm() / layer.weight.detach().norm()
    torch.testing.assert_close(layer_cushion(layer, inputs, norm="kernel"), layer_cushion(layer, inputs) * ratio)


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_by_positions_the_norm_of_the_matrix_is_shared_by_the_inputs_positions(layer):
    layer = layer.double()
    shape, positions = ((7,), 1) if isinstance(layer, nn.Linear) else ((layer.in_channels, 5, 6), 30)
    inputs = gaussian(3, *shape)
    W, phi = operator(layer, shape), inputs.flatten(1)
    expected = (phi @ W.T).norm(dim=1) / (W.norm() / math.sqrt(positions) * phi.norm(dim=1))
    torch.testing.assert_close(layer_cushion(layer, inputs, norm="positions"), expected)


@pytest.mark.parametrize("norm", ["operator", "positions", "kernel"])
@pytest.mark.parametrize("device", DEVICES)
def test_the_cushions_of_all_layers_of_a_network_come_from_one_pass(norm, device):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.Conv2d(3, 2, 3, stride=2, bias=False),
        nn.Flatten(),
        nn.Linear(8, 4),
    ).to(device)
    x, passes = gaussian(9, 1, 6, 6, dtype=torch.float32).to(device), []
    model.register_forward_hook(lambda *_: passes.append(1))
    found = layer_cushions(model, ["5", "0", "3"], x, norm=norm, batch_size=4)
    assert list(found) == ["5", "0", "3"] and len(passes) == 3 and model.training
    for tap, cushions in found.items():
        inputs = torch.cat(list(layer_inputs(model, tap, x)))
        torch.testing.assert_close(cushions, layer_cushion(model[int(tap)], inputs, norm=norm), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("taps", "message"),
    [(["nowhere"], "expected a tap of this model"), (["1"], "expected nn.Linear, or nn.Conv2d with zero padding")],
)
def test_cushions_of_what_has_none_are_refused(taps, message):
    with pytest.raises(ValueError, match=message):
        layer_cushions(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), taps, torch.ones(2, 3))


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_the_cushion_ignores_the_scale_of_weight_bias_and_inputs(seed, weight_scale, input_scale):
    layer, inputs = nn.Linear(6, 4).double(), gaussian(3, 6, seed=seed)
    layer.weight.data = gaussian(4, 6, seed=seed + 1)
    before = layer_cushion(layer, inputs)
    with torch.no_grad():
        layer.weight.mul_(weight_scale)
        layer.bias.mul_(100)
    torch.testing.assert_close(layer_cushion(layer, input_scale * inputs), before)


def test_the_cushion_is_largest_along_the_top_singular_vector():
    layer = nn.Linear(6, 4).double()
    _, S, Vh = torch.linalg.svd(layer.weight.detach())
    cushions = layer_cushion(layer, torch.cat([Vh[:1], gaussian(300, 6)]))
    assert cushions[0].item() == pytest.approx((S[0] / S.norm()).item())
    assert cushions.argmax() == 0


@pytest.mark.parametrize("device", DEVICES)
def test_the_cushion_of_a_layer_inside_a_network_can_be_streamed(device):
    model, x = network().to(device), gaussian(9, 1, 4, 4, dtype=torch.float32).to(device)
    cushions = torch.cat([layer_cushion(model[5], batch) for batch in layer_inputs(model, "5", x, batch_size=4)])
    torch.testing.assert_close(cushions, layer_cushion(model[5], features(model, x, "4")))
    assert cushions.shape == (9,) and not cushions.requires_grad


@pytest.mark.parametrize(
    ("layer", "inputs", "norm", "message"),
    [
        (nn.ReLU(), torch.ones(1, 3), "operator", r"expected nn.Linear, or nn.Conv2d with zero padding, got ReLU\(\)"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), torch.ones(1, 1, 4, 4), "operator", "zero padding"),
        (nn.Linear(3, 2), torch.ones(1, 4), "operator", r"expected inputs \(n, 3\) with n >= 1, got shape \(1, 4\)"),
        (nn.Conv2d(2, 1, 3), torch.ones(2, 4, 4), "operator", r"expected inputs \(n, 2, height, width\)"),
        (nn.Linear(3, 2), torch.ones(0, 3), "operator", "n >= 1"),
        (nn.Linear(3, 2), torch.zeros(1, 3), "operator", "not all zero"),
        (nn.Linear(3, 2), torch.ones(1, 3), "spectral", "one of operator, positions, kernel, got 'spectral'"),
    ],
)
def test_a_layer_without_a_cushion_is_refused(layer, inputs, norm, message):
    with pytest.raises(ValueError, match=message):
        layer_cushion(layer, inputs, norm=norm)


# compression


def clusters(n, seed=0):
    y = torch.randint(3, (n,), generator=seeded(seed))
    return 1.5 * gaussian(3, 12, seed=99)[y] + gaussian(n, 12, seed=seed + 1), y


@pytest.mark.parametrize("dim", [None, 2, 5])
def test_max_margin_equals_the_chain_built_by_hand(dim):
    (a, y), (b, _) = clusters(200), clusters(100, seed=5)
    scaler = StandardScaler().fit(a.numpy())
    train, test = scaler.transform(a.numpy()), scaler.transform(b.numpy())
    if dim is not None:
        pca = PCA(dim, random_state=3).fit(train)
        train, test = pca.transform(train), pca.transform(test)
    by_hand = SGDClassifier(loss="hinge", alpha=0.01, learning_rate="optimal", random_state=3).fit(train, y.numpy())
    classifier = fit_max_margin(a, y, dim=dim, seed=3)
    torch.testing.assert_close(torch.tensor(classifier["classify"].coef_), torch.tensor(by_hand.coef_))
    assert max_margin_predictions(classifier, b).tolist() == by_hand.predict(test).tolist()


def test_max_margin_separates_clusters_that_two_directions_span():
    (a, y), (b, z) = clusters(300), clusters(300, seed=5)
    assert max_margin_accuracy(10 * a, y, 10 * b, z, dim=2) > 0.9
    assert max_margin_accuracy(a, y, b, z, dim=2) == max_margin_accuracy(a, y, b, z, dim=2, seed=0)


def test_max_margin_takes_half_precision_features_with_a_gradient():
    a, y = clusters(60)
    a = a.to(torch.bfloat16)
    assert max_margin_accuracy(a.clone().requires_grad_(), y, a, y) == max_margin_accuracy(a.float(), y, a.float(), y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 13}, r"expected 1 <= dim <= 12 for features of shape \(60, 12\), got dim=13"),
        ({"dim": 0}, "got dim=0"),
        ({"y_test": torch.full((60,), 7)}, r"every test class in the training labels, got \[7\] in the test labels"),
        ({"y_train": torch.full((60,), 4), "y_test": torch.full((60,), 4)}, r"at least two classes, got only \{4\}"),
        ({"y_train": torch.zeros(60)}, "expected integer labels, got torch.float32"),
        ({"y_train": torch.zeros(59)}, r"expected 60 labels, one per row of the features, got shape \(59,\)"),
        ({"test_features": torch.ones(60, 11)}, "expected features of width 12, got 11"),
        ({"train_features": torch.full((60, 12), float("nan"))}, "expected finite features"),
        ({"test_features": torch.ones(60)}, "expected a non-empty matrix"),
    ],
)
def test_what_no_max_margin_model_can_be_built_on_is_refused(change, message):
    a, y = clusters(60)
    arguments = {"train_features": a, "y_train": y, "test_features": a, "y_test": y} | change
    with pytest.raises(ValueError, match=message):
        max_margin_accuracy(**arguments)


# Attacks step by step (appendix D.4)


def test_accuracies_on_the_way_are_the_papers_sums():
    answers = torch.randint(3, (40, 9), generator=torch.Generator().manual_seed(0))
    now, ever = metrics.instantaneous_accuracy(answers), metrics.cumulative_accuracy(answers)
    for k in range(9):
        changed = [int(row[k] != row[0]) for row in answers]
        worst = [max(int(row[j] != row[0]) for j in range(1, k + 1)) if k else 0 for row in answers]
        assert now[k].item() == pytest.approx(1 - sum(changed) / 40)
        assert ever[k].item() == pytest.approx(1 - sum(worst) / 40)


def test_the_cumulative_accuracy_never_rises_and_never_exceeds_the_other():
    answers = torch.randint(2, (30, 12), generator=torch.Generator().manual_seed(1))
    now, ever = metrics.instantaneous_accuracy(answers), metrics.cumulative_accuracy(answers)
    assert (ever.diff() <= 0).all() and (ever <= now).all() and now[0] == ever[0] == 1
    assert (now.diff() > 0).any()


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 2, 2)])
@pytest.mark.parametrize("accuracy", [metrics.instantaneous_accuracy, metrics.cumulative_accuracy])
def test_answers_have_an_example_and_steps(accuracy, shape):
    with pytest.raises(ValueError, match=r"^expected answers \(n, steps \+ 1\) of at least one example, got"):
        accuracy(torch.zeros(shape, dtype=torch.long))
