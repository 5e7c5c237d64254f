"""SNIP, SN, SRN and adversarial training against closed forms, singular values, and gradients taken by hand."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize

from lrlib import baselines, data, engine, models, presets, train, zoo
from lrlib.data.dataset import describe
from lrlib.specs import Baseline

CPU = torch.device("cpu")
BASE = replace(presets.spec("quick", "N-LR", 0), width=4, epochs=2, batch_size=48)
SPECS = {
    variant: replace(BASE, variant=variant, baseline=Baseline(eps=0.1, step_size=0.05, steps=2))
    for variant in models.BASELINES
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits():
    """96 images for training, so that an epoch has two batches, and 16 for testing."""
    whole = data.load("digits")
    train, test = (whole.x_train[:96], whole.y_train[:96]), (whole.x_test[:16], whole.y_test[:16])
    return describe("digits", train, test, classes=whole.classes)


def begun(spec, digits):
    """A training before its first epoch, in training mode."""
    torch.manual_seed(spec.seed)
    training = engine.Training(spec, digits, train.place(train.build(spec, digits), CPU), CPU)
    training.model.train()
    return training


def layers(model):
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}


def weights(model):
    return torch.cat([layer.weight.detach().flatten() for layer in layers(model).values()])


# SNIP


def by_hand(model, x, y):
    """|w dL/dw| of every weight, by PyTorch's own backward pass through a copy in training mode."""
    twin = deepcopy(model).train()
    F.cross_entropy(twin(x), y).backward()
    return torch.cat([(layer.weight * layer.weight.grad).abs().detach().flatten() for layer in layers(twin).values()])


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.7, 0.99])
def test_snip_keeps_its_share_of_all_weights_those_of_the_largest_sensitivity(digits, sparsity):
    model = train.place(train.build(BASE, digits), CPU)
    x, y = data.as_float(digits.x_train[:48]), digits.y_train[:48]
    scores, before = by_hand(model, x, y), weights(model)
    baselines.snip(model, x, y, sparsity=sparsity)
    kept = weights(model) != 0
    assert kept.sum() == round((1 - sparsity) * len(before))
    assert torch.equal(weights(model)[kept], before[kept])
    assert not (~kept).any() or scores[kept].min() >= scores[~kept].max()


def test_the_sensitivity_of_a_softmax_regression_is_its_gradient_in_closed_form():
    x, y = torch.rand(5, 3, generator=seeded()), torch.tensor([0, 1, 1, 0, 1])
    layer = nn.Linear(3, 2)
    error = layer(x).softmax(1) - F.one_hot(y, 2)
    expected = (layer.weight * (error.T @ x) / 5).abs()
    torch.testing.assert_close(baselines.sensitivity(nn.Sequential(layer), x, y)["0"], expected)


def test_taking_the_sensitivity_leaves_the_network_as_it_was(digits):
    model = train.build(BASE, digits).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    baselines.sensitivity(model, data.as_float(digits.x_train[:8]), digits.y_train[:8])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())


def test_pruned_weights_stay_zero_through_training_and_in_the_finished_network(digits):
    training = begun(SPECS["SNIP"], digits)
    pruned, start = weights(training.model) == 0, weights(training.model)
    x, y = data.as_float(training.x[:48]), training.y[:48]
    for _ in range(3):
        training.step(x, y)
        assert torch.equal(weights(training.model) == 0, pruned)
    assert not torch.equal(weights(training.model), start)
    assert torch.equal(weights(training.finish()) == 0, pruned)
    assert pruned.sum() == len(pruned) - round(0.3 * len(pruned))


def test_biases_and_batch_normalisations_are_neither_pruned_nor_normalised(digits):
    plain = dict(train.build(BASE, digits).named_parameters())
    for spec in SPECS.values():
        changed = set(plain) - set(dict(begun(spec, digits).model.named_parameters()))
        expected = {f"{name}.weight" for name in layers(train.build(BASE, digits))}
        assert changed == (set() if spec.variant == "PGD-trained" else expected)


# SN and SRN


def diagonal(*values):
    return torch.diag(torch.tensor(values))


def converged(weight, share):
    """A stable rank's parametrization whose power method has converged, in evaluation mode."""
    torch.manual_seed(0)
    norm = baselines.StableRank(weight, share)
    for _ in range(500):
        norm(weight)
    return norm.eval()


def spectrum(weight):
    return torch.linalg.svdvals(weight.detach().flatten(1).double())


def stable_rank(values):
    return (values.square().sum() / values[0].square()).item()


def test_a_diagonal_matrix_has_all_but_its_largest_value_shrunk_by_one_factor():
    weight = diagonal(4.0, 2.0, 2.0, 1.0)
    rest = (0.2 / (0.25 + 0.25 + 0.0625)) ** 0.5  # what a stable rank of 0.3 times 4 leaves of 1/4 + 1/4 + 1/16
    expected = diagonal(1.0, 0.5 * rest, 0.5 * rest, 0.25 * rest)
    torch.testing.assert_close(converged(weight, 0.3)(weight), expected)


@pytest.mark.parametrize("share", [0.4, 0.8, 1.0])
def test_a_matrix_whose_stable_rank_is_below_the_target_is_divided_by_its_norm_alone(share):
    weight = diagonal(4.0, 2.0, 2.0, 1.0)  # stable rank 25 / 16 = 0.39 * 4
    torch.testing.assert_close(converged(weight, share)(weight), weight / 4)


def test_a_target_below_1_is_1_and_leaves_the_leading_direction_alone():
    weight = torch.randn(2, 5, generator=seeded())
    norm = converged(weight, 0.3)
    u, _, v = torch.linalg.svd(weight)
    assert norm.target == 1
    torch.testing.assert_close(norm(weight), torch.outer(u[:, 0], v[0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(16, 8, 3, 3), (8, 40), (30, 6, 1, 1)])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_srn_gives_a_spectral_norm_of_1_and_the_target_as_stable_rank(shape, share):
    weight = torch.randn(shape, generator=seeded())
    values = spectrum(converged(weight, share)(weight))
    target = max(1, share * min(shape[0], weight[0].numel()))
    assert values[0].item() == pytest.approx(1, abs=1e-5)
    assert stable_rank(values) == pytest.approx(min(target, stable_rank(spectrum(weight))), rel=1e-4)


def test_the_stable_rank_is_within_the_target_however_far_the_power_method_is():
    for seed in range(10):
        weight = torch.randn(20, 4, 3, 3, generator=seeded(seed))
        norm = baselines.StableRank(torch.randn(20, 4, 3, 3, generator=seeded(seed + 100)), 0.3)  # another's u and v
        values = spectrum(norm.eval()(weight))
        assert stable_rank(values) <= 0.3 * 20 * (1 + 1e-5)


def test_without_a_bound_on_the_stable_rank_srn_is_pytorchs_spectral_norm():
    layer = nn.Conv2d(4, 6, 3)
    ours = converged(layer.weight, 1.0)(layer.weight)
    parametrizations.spectral_norm(layer, n_power_iterations=500)
    torch.testing.assert_close(ours, layer.weight)


def test_the_gradient_of_srn_is_that_of_finite_differences():
    weight = torch.randn(4, 2, 3, 3, dtype=torch.float64, generator=seeded()).requires_grad_()
    for share in (0.3, 1.0):
        assert torch.autograd.gradcheck(baselines.StableRank(weight, share).eval(), weight)


def test_a_weight_in_channels_last_is_normalised_to_the_same_one():
    weight = torch.randn(6, 4, 3, 3, generator=seeded())
    norm = converged(weight, 0.3)
    torch.testing.assert_close(norm(weight.contiguous(memory_format=torch.channels_last)), norm(weight))


def test_the_singular_vectors_move_in_training_mode_alone():
    weight = torch.randn(20, 30, generator=seeded())
    norm = baselines.StableRank(weight, 0.3)
    other = torch.randn(20, 30, generator=seeded(1))
    before = norm.u.clone()
    norm.eval()(other)
    assert torch.equal(norm.u, before)
    norm.train()(other)
    assert not torch.equal(norm.u, before)


def test_srn_keeps_its_precision_under_autocast():
    weight = torch.randn(20, 30, generator=seeded())
    norm = converged(weight, 0.3)
    with torch.autocast("cpu", torch.bfloat16):
        cast = norm(weight)
    assert cast.dtype == torch.float32 and torch.equal(cast, norm(weight))


@pytest.mark.parametrize("variant", ["SN", "SRN"])
def test_every_layer_of_a_network_in_training_has_spectral_norm_1(digits, variant):
    training = begun(SPECS[variant], digits)
    for _ in range(3):
        training.step(data.as_float(training.x[:48]), training.y[:48])
    with torch.no_grad():
        for _ in range(300):
            weights(training.model)  # each look at them is a step of the power method
    found = layers(training.finish())
    assert len(found) == 21
    for layer in found.values():
        values = spectrum(layer.weight)
        assert values[0].item() == pytest.approx(1, abs=3e-3)
        if variant == "SRN":
            target = max(1, 0.3 * len(values))
            assert stable_rank(values) <= target * (1 + 1e-5)


# Adversarial training


def test_the_images_of_a_linear_network_are_moved_to_the_worst_corner():
    w, y = torch.tensor([[1.0, -2.0, 0.5], [-1.0, 1.0, 3.0]]), torch.tensor([0, 1, 0, 1])
    network = nn.Linear(3, 2, bias=False).train()
    network.load_state_dict({"weight": w})
    x = torch.full((4, 3), 0.5)
    x_adv = baselines.attacked(network, network, x, y, eps=0.1, step_size=0.1, steps=2, generator=seeded())
    torch.testing.assert_close(x_adv, x - 0.1 * (w[y] - w[1 - y]).sign())
    assert network.training and network.weight.requires_grad and network.weight.grad is None


def test_a_network_that_learns_from_attacked_images_leaves_out_what_an_attack_can_turn_round():
    """One feature that moves by 0.3 with the class and a hundred by 0.02, against a radius of 0.1."""
    y = torch.tensor([0, 1])
    x = 0.5 + (2 * y[:, None] - 1) * torch.tensor([0.3] + [0.02] * 100)
    attack = {"eps": 0.1, "step_size": 0.1, "steps": 3}

    def trained(hardened):
        network = nn.Linear(101, 2, bias=False)
        nn.init.zeros_(network.weight)

        def centred(z):
            return network(z - 0.5)

        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        for step in range(200):
            seen = baselines.attacked(network, centred, x, y, **attack, generator=seeded(step)) if hardened else x
            optimizer.zero_grad()
            F.cross_entropy(centred(seen), y).backward()
            optimizer.step()
        worst = baselines.attacked(network, centred, x, y, **attack, generator=seeded())
        return [(centred(images).argmax(1) == y).tolist() for images in (x, worst)]

    assert trained(False) == [[True, True], [False, False]]
    assert trained(True) == [[True, True], [True, True]]


def test_an_epoch_of_pgd_training_takes_steps_on_attacked_images_alone(digits, monkeypatch):
    seen = {}
    for spec in (BASE, SPECS["PGD-trained"]):
        training, steps = begun(spec, digits), []
        monkeypatch.setattr(
            training, "step", lambda x, y, steps=steps: steps.append(x) or (torch.zeros(()), y[:, None])
        )
        training.epoch(engine.tqdm(disable=True))
        seen[spec.variant] = torch.cat(steps)
        assert training.model.training and all(p.requires_grad for p in training.model.parameters())
    moved = (seen["PGD-trained"] - seen["N-LR"]).abs()
    assert 0.099 < moved.max() <= 0.1 + 1e-6
    assert (moved.flatten(1).amax(1) > 0.04).all()
    assert (0 <= seen["PGD-trained"]).all() and (seen["PGD-trained"] <= 1).all()


def test_a_network_that_gives_nan_under_the_attack_diverged(digits):
    diverging = replace(SPECS["PGD-trained"], learning_rate=1e20, milestones=())
    with pytest.raises(train.TrainingDiverged, match=r"^expected .* training digits_resnet18-4_PGD-trained"):
        train.train(diverging, digits, progress=False)
    network = nn.Linear(3, 2).train()
    nn.init.constant_(network.weight, torch.nan)
    x, y = torch.full((4, 3), 0.5), torch.tensor([0, 1, 0, 1])
    with pytest.raises(FloatingPointError, match="NaN"):
        baselines.attacked(network, network, x, y, eps=0.1, step_size=0.1, steps=2, generator=seeded())
    assert network.training and network.weight.requires_grad


# The finished network


@pytest.mark.parametrize("variant", models.BASELINES)
def test_the_finished_network_is_a_plain_one_with_the_outputs_it_had(digits, variant):
    training = begun(SPECS[variant], digits)
    training.epoch(engine.tqdm(disable=True))
    x = data.as_float(digits.x_test)
    with torch.no_grad():
        expected = training.model.eval()(x)
        training.model.train()
        finished = training.finish()
        plain = train.build(BASE, digits).eval()
        plain.load_state_dict(finished.state_dict())
        for network in (finished, plain):
            torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
    assert str(finished) == str(plain) and not finished.training
    assert not any(parametrize.is_parametrized(module) for module in finished.modules())
    assert all(isinstance(layer.weight, nn.Parameter) for layer in layers(finished).values())


def test_a_network_without_a_method_is_finished_as_it_is():
    network = nn.Sequential(nn.Linear(3, 2)).train()
    weight = network[0].weight
    baselines.prepare(network, "PGD-trained", torch.rand(1, 3), torch.zeros(1, dtype=torch.int64))
    assert baselines.finish(network) is network and network[0].weight is weight and not network.training


@pytest.mark.parametrize("variant", models.BASELINES)
def test_a_trained_baseline_is_found_again(variant, tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path))
    spec = replace(SPECS[variant], width=2, epochs=1, batch_size=256)
    trained = zoo.find_or_train(spec, progress=False)
    found = zoo.find(spec)
    assert found.sha256 == trained.sha256 and found.history["spec"]["baseline"]["sparsity"] == 0.7
    x = data.as_float(data.load("digits").x_test[:8])
    with torch.no_grad():
        assert torch.equal(found.model(x), trained.model(x))


@pytest.mark.parametrize("variant", models.BASELINES)
def test_a_compiled_baseline_is_the_uncompiled_one_without_a_graph_break(variant):
    """In bf16, whose rounding would show a part that is computed in another precision when it is compiled."""
    x, y = torch.rand(16, 3, 8, 8, generator=seeded()), torch.arange(16) % 4

    def trained(compiled):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4))
        network = train.place(network, CPU)
        baselines.prepare(network, variant, x, y)
        called = torch.compile(network, backend="aot_eager", fullgraph=True) if compiled else network
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        attack = {"eps": 0.1, "step_size": 0.1, "steps": 2, "generator": seeded()}
        for _ in range(3):
            with torch.autocast("cpu", torch.bfloat16):
                seen = baselines.attacked(network, called, x, y, **attack) if variant == "PGD-trained" else x
                loss = F.cross_entropy(called(seen), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return baselines.finish(network).state_dict()

    torch._dynamo.reset()
    expected = trained(False)
    for name, value in trained(True).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)


# Settings that make no sense


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sparsity": 1.0}, "^expected a sparsity from 0 on and below 1, got 1.0$"),
        ({"sparsity": -0.1}, "^expected a sparsity from 0 on and below 1, got -0.1$"),
        ({"stable_rank": 0.0}, "^expected a stable rank above 0 and up to 1 of the smaller side, got 0.0$"),
        ({"stable_rank": 1.5}, "^expected a stable rank above 0 and up to 1 of the smaller side, got 1.5$"),
        ({"eps": 8.0}, r"^expected eps and step_size above 0 and up to 1, got 8.0 and 0.00784\d+$"),
        ({"step_size": 0.0}, r"^expected eps and step_size above 0 and up to 1, got 0.0313\d+ and 0.0$"),
        ({"eps": float("nan")}, "^expected eps and step_size above 0 and up to 1, got nan and"),
        ({"steps": 0}, "^expected steps >= 1, got 0$"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Baseline(**settings)


def test_shares_out_of_range_are_refused_by_the_methods_too():
    network, x, y = nn.Linear(3, 2), torch.rand(1, 3), torch.zeros(1, dtype=torch.int64)
    for sparsity in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"sparsity from 0 on and below 1, got {sparsity}"):
            baselines.prepare(network, "SNIP", x, y, sparsity=sparsity)
    for share in (0.0, 1.1):
        with pytest.raises(ValueError, match=f"stable rank above 0 and up to 1 of the smaller side, got {share}"):
            baselines.prepare(network, "SRN", x, y, stable_rank=share)


def test_only_a_baseline_has_a_baselines_settings():
    with pytest.raises(ValueError, match=r"^expected a baseline's settings for the variant 'SNIP', got none$"):
        replace(BASE, variant="SNIP")
    with pytest.raises(ValueError, match=r"^expected no baseline's settings for the variant 'N-LR', got Baseline\("):
        replace(BASE, baseline=Baseline())
