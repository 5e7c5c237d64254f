"""The LR layer against a slow loop, autograd and numpy's principal components; its attachment to any network."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

from lrlib import LowRank, attach
from lrlib.attacks import pgd
from lrlib.lowrank import PROJECTIONS

seeds = st.integers(0, 2**31)
NEVER = 10**9


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def symmetric(m, *, seed=0):
    a = gaussian(m, m, seed=seed)
    return (a + a.T) / 2


def layer(features=8, rank=3, *, W=None, b=None, **options):
    """A layer in double precision, started at the given W and b."""
    lr = LowRank(features, rank, **options).double()
    if W is not None:
        lr.set_(W, torch.zeros(features) if b is None else b)
    return lr


def rank_of(W):
    return int(torch.linalg.matrix_rank(W, rtol=1e-9))


# losses


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 7))
def test_the_losses_are_those_of_equation_2_example_by_example(seed, n):
    W, b, a = symmetric(5, seed=seed), gaussian(5, seed=seed + 1), gaussian(n, 5, seed=seed + 2)
    projection = norm = 0.0
    for one in a.numpy():
        translated = one + b.numpy()
        projection += np.sum((W.numpy().T @ translated - translated) ** 2) / n
        norm += abs(1 - np.sqrt(np.sum(one**2))) / n
    losses = layer(5, 2, W=W, b=b)(a)
    assert losses.projection.item() == pytest.approx(projection)
    assert losses.norm.item() == pytest.approx(norm)


def test_the_losses_pass_their_gradients_to_the_activations():
    lr, a = layer(5, 2, W=symmetric(5), b=gaussian(5, seed=1)), gaussian(6, 5, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tuple(lr(x)), [a])


def test_activations_that_are_all_zero_have_finite_losses_and_gradients():
    lr, a = layer(5, 2, W=symmetric(5), b=gaussian(5)), torch.zeros(4, 5, dtype=torch.float64, requires_grad=True)
    sum(lr(a)).backward()
    lr.step()
    assert torch.isfinite(a.grad).all() and torch.isfinite(lr.W).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_activations_of_half_precision_have_losses_in_that_of_w(dtype):
    lr = LowRank(8, 2)
    losses = lr(gaussian(32, 8).to(dtype))
    lr.step()
    assert losses.projection.dtype == losses.norm.dtype == lr.W.dtype == torch.float32


def test_autocast_changes_neither_the_losses_nor_the_step():
    a, plain, cast = gaussian(32, 8, dtype=torch.float32), LowRank(8, 2), LowRank(8, 2)
    expected = plain(a)
    plain.step()
    with torch.autocast("cpu", torch.bfloat16):
        got = cast(a)
        cast.step()
    assert got == expected
    assert torch.equal(cast.W, plain.W) and torch.equal(cast.b, plain.b)


def test_double_precision_stays_double():
    lr = LowRank(8, 2).double()
    losses = lr(gaussian(32, 8))
    lr.step()
    lr.project_()
    assert losses.projection.dtype == lr.W.dtype == lr.b.dtype == torch.float64


@pytest.mark.parametrize("shape", [(4, 7), (8,), (4, 8, 1)])
def test_activations_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(n, 8\), got"):
        LowRank(8, 2)(torch.zeros(shape))


# start


def test_the_start_is_the_projector_on_the_leading_principal_components_and_minus_the_mean():
    a = gaussian(40, 8) @ gaussian(8, 8, seed=1) + 3
    centred = a.numpy() - a.numpy().mean(0)
    leading = np.linalg.eigh(centred.T @ centred)[1][:, -3:]
    lr = layer().start_(a)
    torch.testing.assert_close(lr.W, torch.from_numpy(leading @ leading.T))
    torch.testing.assert_close(lr.b, -a.mean(0))


def test_the_first_batch_of_training_starts_the_layer_and_the_second_does_not():
    a, lr = gaussian(20, 8), layer()
    lr(a)
    expected = layer().start_(a)
    assert torch.equal(lr.W, expected.W) and torch.equal(lr.b, expected.b)
    lr(gaussian(20, 8, seed=1))
    assert torch.equal(lr.W, expected.W)


def test_a_layer_in_eval_mode_neither_starts_nor_steps():
    lr = layer().eval()
    lr(gaussian(20, 8))
    lr.step()
    assert not lr.started and lr.steps == 0 and not lr.W.any()


def test_activations_in_an_affine_subspace_of_the_target_rank_have_no_projection_loss():
    a = gaussian(60, 3) @ gaussian(3, 8, seed=1) + gaussian(8, seed=2)
    assert layer()(a).projection.item() == pytest.approx(0, abs=1e-20)


# steps


def autograd_step(W_s, b, a, step_size):
    """One SGD step on L_c in W_s, then one in b, with W = (W_s + W_s^T) / 2."""
    W_s, b = W_s.clone().requires_grad_(), b.clone().requires_grad_()

    def loss():
        W = (W_s + W_s.T) / 2
        return ((a + b) @ W - (a + b)).square().sum(1).mean()

    energy = (a + b).square().sum(1).mean().detach()
    torch.optim.SGD([W_s], lr=(step_size / energy).item()).step(lambda: [loss().backward()])
    b.grad = None
    torch.optim.SGD([b], lr=step_size / 2).step(lambda: [loss().backward()])
    return W_s.detach(), b.detach()


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([0.01, 0.1, 0.9]))
def test_steps_are_autograds_sgd_on_the_symmetric_parametrisation(seed, step_size):
    W_s, b = symmetric(6, seed=seed), gaussian(6, seed=seed + 1)
    lr = layer(6, 2, W=W_s, b=b, step_size=step_size, cut_every=NEVER)
    for k in range(5):
        a = gaussian(10, 6, seed=seed + 2 + k)
        W_s, b = autograd_step(W_s, b, a, step_size)
        lr(a)
        lr.step()
        torch.testing.assert_close(lr.W, (W_s + W_s.T) / 2)
        torch.testing.assert_close(lr.b, b)


def test_weight_decay_takes_its_share_off_w():
    W, a = symmetric(6), torch.zeros(3, 6, dtype=torch.float64)
    lr = layer(6, 2, W=W, step_size=0.1, weight_decay=0.5, cut_every=NEVER)
    lr(a)
    lr.step()
    torch.testing.assert_close(lr.W, 0.95 * W)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_w_stays_symmetric_to_the_last_bit(projection):
    lr = LowRank(12, 3, projection=projection, cut_every=4)
    for k in range(10):
        lr(gaussian(20, 12, seed=k, dtype=torch.float32))
        lr.step()
        assert torch.equal(lr.W, lr.W.T)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([1e-3, 1.0, 1e3]), st.sampled_from([0.1, 0.5, 0.9, 0.99]), st.integers(1, 4))
def test_on_fixed_activations_of_any_scale_no_step_raises_the_projection_loss(seed, scale, step_size, directions):
    a = gaussian(6, directions, seed=seed) @ gaussian(directions, 8, seed=seed + 1) + 3 * gaussian(8, seed=seed + 2)
    lr = layer(8, 2, step_size=step_size, cut_every=NEVER).start_(scale * gaussian(30, 8, seed=seed + 3))
    last = lr(scale * a).projection.item()
    for _ in range(40):
        lr.step()
        now = lr(scale * a).projection.item()
        assert now <= last * (1 + 1e-9) + 1e-20 * scale**2
        last = now


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("step_size", [0.1, 0.9])
def test_w_stays_bounded_while_the_activations_jump(projection, step_size):
    lr = LowRank(32, 6, projection=projection, step_size=step_size)
    for k in range(200):
        directions = gaussian(10, 32, seed=k // 15, dtype=torch.float32)
        scale = 10 ** (2 * np.sin(k / 7))
        lr(scale * (gaussian(16, 10, seed=k, dtype=torch.float32) @ directions + k % 3))
        lr.step()
        assert torch.linalg.matrix_norm(lr.W, 2) < 3


def test_a_step_without_a_batch_does_nothing():
    lr = layer()
    lr.step()
    lr(gaussian(20, 8))
    lr.step()
    before = lr.W.clone()
    lr.step()
    assert lr.steps == 1 and torch.equal(lr.W, before)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e200])
def test_activations_that_are_not_finite_are_refused_and_leave_the_layer_as_it_was(bad):
    lr, a = layer(), gaussian(20, 8)
    lr(a)
    lr.step()
    W, b = lr.W.clone(), lr.b.clone()
    a[3, 2] = bad
    lr(a)
    with pytest.raises(FloatingPointError, match="expected finite activations"):
        lr.step()
    assert torch.equal(lr.W, W) and torch.equal(lr.b, b) and lr.steps == 1


def test_a_layer_does_not_start_from_activations_that_are_not_finite():
    lr = layer()
    with pytest.raises(FloatingPointError, match="expected finite activations to start W from"):
        lr(torch.full((4, 8), torch.nan))
    assert not lr.started and not lr.W.any()


# cuts


def test_the_rank_is_cut_every_k_steps_only():
    ranks = []
    lr = layer(12, 2, cut_every=3)
    for k in range(7):
        lr(gaussian(20, 12, seed=k))
        lr.step()
        ranks.append(rank_of(lr.W))
    assert [rank <= 2 for rank in ranks] == [False, False, True, False, False, True, False]


@pytest.mark.parametrize("projection", PROJECTIONS)
@settings(max_examples=15, deadline=None)
@given(seed=seeds, rank=st.integers(1, 5), as_written=st.booleans())
def test_a_projected_w_has_at_most_the_target_rank(projection, seed, rank, as_written):
    lr = layer(12, rank, W=symmetric(12, seed=seed), projection=projection, as_written=as_written)
    assert rank_of(lr.project_().W) <= rank


def test_as_written_the_cut_leaves_a_rank_of_up_to_members_times_the_target():
    a, ranks = gaussian(50, 12), {}
    for as_written in (True, False):
        lr = layer(12, 2, W=gaussian(12, 12) @ gaussian(12, 12).T, members=3, cut_every=1, as_written=as_written)
        lr(a)
        lr.step()
        ranks[as_written] = rank_of(lr.W)
    assert ranks == {True: 6, False: 2}


def test_the_exact_projection_is_numpys_truncation():
    W = symmetric(8)
    u, s, vt = np.linalg.svd(W.numpy())
    cut = layer(W=W, projection="exact").project_().W
    torch.testing.assert_close(cut, torch.from_numpy((u[:, :3] * s[:3]) @ vt[:3]))


def test_a_layer_that_goes_on_from_its_state_goes_where_the_first_one_goes():
    first = LowRank(12, 3, cut_every=4)
    batches = [gaussian(20, 12, seed=k, dtype=torch.float32) for k in range(13)]
    for a in batches[:6]:
        first(a)
        first.step()
    second = LowRank(12, 3, cut_every=4)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.steps == 6 and second.started
    for a in batches[6:]:
        for lr in (first, second):
            lr(a)
            lr.step()
    assert torch.equal(first.W, second.W) and torch.equal(first.b, second.b)


def test_layers_of_another_seed_draw_other_columns():
    W = gaussian(12, 12) @ gaussian(12, 12).T
    cut = [layer(12, 3, W=W, seed=seed).project_().W for seed in (0, 0, 1)]
    assert torch.equal(cut[0], cut[1]) and not torch.equal(cut[0], cut[2])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rank": 0}, "1 <= rank <= 8, the width, got rank=0"),
        ({"rank": 9}, "1 <= rank <= 8, the width, got rank=9"),
        ({"step_size": 0.0}, "step_size between 0 and 1"),
        ({"step_size": 1.0}, "step_size between 0 and 1"),
        ({"cut_every": 0}, "cut_every >= 1, got 0"),
        ({"weight_decay": -1.0}, "weight_decay >= 0, got -1.0"),
        ({"projection": "svd"}, "ensemble, nystrom, exact, randomized, got 'svd'"),
        ({"columns": 2}, "columns from rank=3 to 8, the width, got columns=2"),
        ({"columns": 9}, "columns from rank=3 to 8, the width, got columns=9"),
        ({"members": 0}, "members >= 1"),
        ({"smoothing": 0.0}, "smoothing > 0"),
    ],
)
def test_a_layer_of_impossible_settings_is_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        LowRank(8, **{"rank": 3, **options})


# attach


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(inplace=True), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def conv():
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    return nn.Sequential(stem, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)).double()


def resnet():
    torch.manual_seed(0)
    return resnet18(num_classes=3).double()


NETWORKS = {
    "mlp": (mlp, (8, 4), {"1": 16, "3": 6}),
    "conv": (conv, (8, 1, 8, 8), {"0.1": 144, "1": 36}),
    "torchvision": (resnet, (4, 3, 32, 32), {"avgpool": 512, "layer4.1.bn2": 512}),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    make, shape, widths = NETWORKS[request.param]
    layers = {tap: LowRank(m, 2).double() for tap, m in widths.items()}
    return make(), gaussian(*shape), torch.arange(shape[0]) % 3, layers


def test_the_losses_collected_are_those_of_the_modules_outputs(case):
    model, x, _, layers = case
    outputs = {}
    for tap in layers:  # a copy, for an in-place ReLU may follow
        model.get_submodule(tap).register_forward_hook(
            lambda m, i, o, tap=tap: outputs.update({tap: o.flatten(1).clone()})
        )
    with attach(model, layers) as lr:
        model(x)
        assert lr.losses.keys() == layers.keys()
        for tap, a in outputs.items():
            again = LowRank(a.shape[1], 2).double()(a)
            torch.testing.assert_close(lr.losses[tap].projection, again.projection)
            torch.testing.assert_close(lr.losses[tap].norm, again.norm)


@pytest.mark.parametrize("bounded", [False, True])
def test_the_gradient_is_that_of_cross_entropy_and_both_losses_by_hand(bounded):
    lambda_c, lambda_n = 0.7, 0.3
    model, x, y = mlp(), gaussian(8, 4), torch.arange(8) % 3
    layers = {"0": LowRank(16, 2).double(), "3": LowRank(6, 2).double()}
    with attach(model, layers, lambda_c=lambda_c, lambda_n=lambda_n, bounded=bounded) as lr:
        (F.cross_entropy(model(x), y) + lr.loss()).backward()
    got = [weight.grad.clone() for weight in model.parameters()]

    first = model[0](x)
    last = model[3](model[2](first.relu()))
    total = F.cross_entropy(model[4](last), y)
    for a, one in ((first, layers["0"]), (last, layers["3"])):
        t = a + one.b
        size = max(1.0, (sum(float(row.norm()) ** 2 for row in t.detach()) / 8) ** 0.5) if bounded else 1.0
        total = total + lambda_c * (t @ one.W.T - t).pow(2).sum() / 8 / size
        total = total + lambda_n * (1 - a.norm(dim=1)).abs().sum() / 8
    for ours, expected in zip(got, torch.autograd.grad(total, list(model.parameters())), strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("scale", [1.0, 1e2, 1e4])
def test_a_bounded_projection_loss_pulls_large_activations_with_a_gradient_of_at_most_twice_its_weight(scale):
    a = (scale * gaussian(32, 6)).requires_grad_()
    layer = LowRank(6, 2, seed=1).double()
    with attach(nn.Sequential(nn.Identity()), {"0": layer}, lambda_c=0.7, lambda_n=0.0) as lr:
        lr._model(a)
        (gradient,) = torch.autograd.grad(lr.loss(), a)
    per_example = 32 * gradient  # the loss is a mean over the examples
    assert 0 < float(per_example.square().sum(1).mean().sqrt()) <= 2 * 0.7


def test_a_network_with_layers_predicts_and_is_stored_as_without(case):
    model, x, y, layers = case
    bare = copy.deepcopy(model)
    with attach(model, layers) as lr:
        (F.cross_entropy(model(x), y) + lr.loss()).backward()
        lr.step()
        bare(x)  # moves its batch statistics on, as that pass did
        assert torch.equal(model.eval()(x), bare.eval()(x))
        assert [name for name, _ in model.named_parameters()] == [name for name, _ in bare.named_parameters()]
        assert [name for name, _ in model.named_modules()] == [name for name, _ in bare.named_modules()]
        for (name, value), (other, expected) in zip(model.state_dict().items(), bare.state_dict().items(), strict=True):
            assert name == other and torch.equal(value, expected)


def test_detaching_takes_every_hook_off(case):
    model, x, _, layers = case
    with attach(model, layers) as lr:
        assert any(module._forward_hooks for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    model(x)
    assert not lr.losses
    lr.detach()  # again does no harm


def test_the_layers_come_off_when_the_block_fails():
    model = mlp()
    with pytest.raises(ZeroDivisionError), attach(model, {"1": LowRank(16, 2)}):
        _ = 1 / 0
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("training, grad", [(False, True), (True, False), (False, False)])
def test_losses_are_collected_in_training_mode_with_gradients_only(training, grad):
    model, lowrank = mlp().train(training), LowRank(16, 2)
    with attach(model, {"1": lowrank}) as lr, torch.set_grad_enabled(grad):
        model(gaussian(8, 4))
    assert not lr.losses and not lowrank.started


def test_an_attack_in_eval_mode_leaves_the_layers_alone():
    model, x, y, lowrank = mlp(), gaussian(8, 4).sigmoid(), torch.arange(8) % 3, LowRank(16, 2)
    with attach(model, {"1": lowrank}) as lr:
        model(x)
        lr.step()
        W, b, steps = lowrank.W, lowrank.b.clone(), lowrank.steps
        pgd(model.eval(), x, y, eps=0.1, step_size=0.05, steps=3)
        lr.step()
        assert torch.equal(lowrank.W, W) and torch.equal(lowrank.b, b) and lowrank.steps == steps and not lr.losses


def test_a_loss_before_any_forward_pass_says_so_and_names_the_tap():
    with attach(mlp(), {"1": LowRank(16, 2)}) as lr:
        with pytest.raises(RuntimeError, match="expected a forward pass in training mode first, got none through 1"):
            lr.loss()


def test_a_loss_after_a_step_needs_a_new_forward_pass():
    model = mlp()
    with attach(model, {"1": LowRank(16, 2)}) as lr:
        model(gaussian(8, 4))
        lr.loss()
        lr.step()
        with pytest.raises(RuntimeError, match="forward pass"):
            lr.loss()


@pytest.fixture
def watched(monkeypatch):
    """An MLP with a layer on, and the batches that the layer has seen."""
    model, lowrank, seen = mlp(), LowRank(16, 2).double(), []
    forward = lowrank.forward
    monkeypatch.setattr(lowrank, "forward", lambda a: seen.append(a.detach().clone()) or forward(a))
    with attach(model, {"1": lowrank}) as lr:
        yield model, lowrank, lr, seen


def activations_of(model, x):
    return model[1](model[0](x)).detach()


@pytest.mark.parametrize("ask", [lambda lr: lr.losses, lambda lr: lr.loss(), lambda lr: lr.step()])
def test_the_layers_see_the_activations_when_they_are_asked_and_not_during_the_pass(watched, ask):
    model, _, lr, seen = watched
    x = gaussian(8, 4)
    model(x)
    assert seen == []
    ask(lr)
    assert len(seen) == 1 and torch.equal(seen[0], activations_of(model, x))


def test_the_losses_of_a_pass_are_computed_once(watched):
    model, lowrank, lr, seen = watched
    model(gaussian(8, 4))
    first, again = lr.losses, lr.losses
    assert again is first
    lr.loss().backward()
    lr.step()
    assert len(seen) == 1 and lowrank.steps == 1


@pytest.mark.parametrize("asked_between", [False, True])
def test_of_two_passes_before_a_loss_the_last_one_counts(watched, asked_between):
    model, lowrank, lr, seen = watched
    first, last = gaussian(8, 4), gaussian(6, 4, seed=1)
    model(first)
    if asked_between:
        lr.loss()
    model(last)
    loss = lr.loss()
    assert torch.equal(seen[-1], activations_of(model, last)) and len(seen) == 1 + asked_between
    alone = LowRank(16, 2).double()
    if asked_between:
        alone.start_(activations_of(model, first))
    with attach(copy.deepcopy(model), {"1": alone}) as other:
        other._model(last)
        assert loss.item() == pytest.approx(other.loss().item())
    lr.step()
    assert lowrank.steps == 1


def test_losses_that_are_asked_for_without_gradients_still_have_theirs(watched):
    model, _, lr, _ = watched
    model(gaussian(8, 4))
    with torch.no_grad():
        losses = lr.losses["1"]
    (losses.projection + losses.norm).backward()
    assert model[0].weight.grad.any()


@pytest.mark.parametrize("weights", [{"lambda_c": -0.1}, {"lambda_n": -1e-9}, {"lambda_c": -1.0, "lambda_n": -1.0}])
def test_negative_weights_are_refused_before_anything_is_put_on(weights):
    model = mlp()
    with pytest.raises(ValueError, match=r"^expected weights of the losses from 0 on, got lambda_c=.* and lambda_n="):
        attach(model, {"1": LowRank(16, 2)}, **weights)
    assert not any(module._forward_hooks for module in model.modules())


def test_weights_of_nothing_are_no_mistake():
    with attach(mlp(), {"1": LowRank(16, 2).double()}, lambda_c=0.0, lambda_n=0.0) as lr:
        lr._model(gaussian(8, 4))
        assert lr.loss().item() == 0


@pytest.mark.parametrize("tap", ["7", "", "avgpool"])
def test_an_unknown_tap_is_answered_with_those_there_are(tap):
    model = mlp()
    with pytest.raises(ValueError, match=f"expected taps among 0, 1, 2, 3, 4, got {tap!r}"):
        attach(model, {"1": LowRank(16, 2), tap: LowRank(16, 2)})
    assert not any(module._forward_hooks for module in model.modules())


def test_attaching_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one LR layer"):
        attach(mlp(), {})


def test_a_module_that_returns_no_tensor_is_named():
    model = nn.Sequential(nn.LSTM(4, 3))
    with (
        attach(model, {"0": LowRank(3, 2)}),
        pytest.raises(TypeError, match="expected 0 to return a tensor, got tuple"),
    ):
        model(torch.zeros(2, 5, 4))


def test_training_with_a_layer_lowers_the_projection_loss_of_the_features():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(10, 16), nn.Tanh()), gaussian(64, 10, dtype=torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    lost = []
    with attach(model, {"1": LowRank(16, 2)}) as lr:
        for _ in range(100):
            model(x)
            lost.append(lr.losses["1"].projection.item())
            optimizer.zero_grad()
            lr.loss().backward()
            optimizer.step()
            lr.step()
    assert lost[-1] < 0.1 * lost[0]
    norms = torch.linalg.vector_norm(model(x), dim=1)
    assert norms.mean().item() == pytest.approx(1, abs=0.2)
