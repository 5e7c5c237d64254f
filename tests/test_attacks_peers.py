"""Attacks against foolbox, which implements them independently."""

import warnings

import pytest
import torch
from torch import nn

from lrlib import attacks, metrics

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # foolbox asks SciPy for old names
    foolbox = pytest.importorskip("foolbox", reason="foolbox is not installed: it comes with the extra `peers`")


@pytest.fixture(scope="module")
def network():
    """A small convolutional network, trained a little on scikit-learn's digits, and images that it gets right."""
    from lrlib import data

    digits = data.load("digits")
    x, y = data.as_float(digits.x_train), digits.y_train
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10))
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    net = net.double().eval()
    x_test, y_test = data.as_float(digits.x_test).double(), digits.y_test
    right = net(x_test).argmax(dim=1) == y_test
    assert right.float().mean() > 0.85
    return net, x_test[right][:100], y_test[right][:100]


def judged(network, attack, eps):
    net, x, y = network
    model = foolbox.PyTorchModel(net, bounds=(0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        raw, _, success = attack(model, x, y, epsilons=eps)
    return raw, success


@pytest.mark.parametrize("eps", [0.03, 0.1])
def test_pgd_reaches_the_loss_of_foolbox(network, eps):
    net, x, y = network
    peer = foolbox.attacks.LinfPGD(abs_stepsize=eps / 8, steps=20, random_start=False)
    theirs, _ = judged(network, peer, eps)
    ours = attacks.pgd(net, x, y, eps=eps, step_size=eps / 8, steps=20, random_start=False)
    losses = [attacks.cross_entropy_per_example(net(x_adv), y) for x_adv in (ours, theirs)]
    torch.testing.assert_close(*losses)


def test_fgsm_is_foolbox_s(network):
    net, x, y = network
    theirs, _ = judged(network, foolbox.attacks.FGSM(random_start=False), 0.1)
    torch.testing.assert_close(attacks.fgsm(net, x, y, eps=0.1), theirs)


def test_deepfool_needs_foolbox_s_rho(network):
    net, x, y = network
    theirs, success = judged(network, foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=10, loss="logits"), None)
    ours = attacks.deepfool(net, x)
    fooled = net(ours).argmax(dim=1) != y
    assert fooled.float().mean() >= success.float().mean() > 0.95
    both = fooled & success
    rhos = [metrics.rho(x[both], x_adv[both]).item() for x_adv in (ours, theirs)]
    assert rhos[0] == pytest.approx(rhos[1], rel=0.02)


def test_the_margin_s_attack_fools_what_foolbox_s_carlini_and_wagner_fools(network):
    net, x, y = network
    # Its smallest Euclidean perturbations lie in small balls of the maximum norm: what they fool, ours has to.
    theirs, success = judged(network, foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=3, steps=100), None)
    radius = (theirs - x).flatten(1).abs().amax(dim=1)[:, None, None, None]
    ours = attacks.pgd(
        net, x, y, eps=radius, step_size=radius / 8, steps=40, random_start=False, loss=attacks.margin_per_example
    )
    fooled = net(ours).argmax(dim=1) != y
    assert success.float().mean() > 0.9 and fooled[success].float().mean() > 0.97


def test_autoattack_stays_in_the_ball_and_fools_what_short_pgd_fools(network):
    pytest.importorskip("pyautoattack", reason="pyautoattack is not installed: it comes with the extra `book`")
    net, x, y = network
    net, x, y = net.float(), x[:30].float(), y[:30]
    state = torch.get_rng_state()
    x_adv = attacks.autoattack(net, x, y, eps=0.1, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert (x_adv - x).abs().max() <= 0.1 + 1e-6 and x_adv.min() >= 0 and x_adv.max() <= 1
    short = attacks.pgd(net, x, y, eps=0.1, step_size=0.03, steps=5, random_start=False)
    fooled = [net(one).argmax(dim=1) != y for one in (x_adv, short)]
    assert fooled[0].sum() >= fooled[1].sum() > 0
    net.double()


def test_autoattack_sees_through_logits_that_are_far_too_large(network):
    pytest.importorskip("pyautoattack", reason="pyautoattack is not installed: it comes with the extra `book`")
    net, x, y = network
    net, x, y = net.float(), x[:20].float(), y[:20]
    x_adv = attacks.autoattack(lambda z: 1e4 * net(z), x, y, eps=0.2)
    assert (net(x_adv).argmax(dim=1) != y).float().mean() > 0.5
    net.double()


def test_autoattack_refuses_a_radius_that_there_is_not(network):
    net, x, y = network
    with pytest.raises(ValueError, match=r"^expected eps in \(0, 1\], got 1.5$"):
        attacks.autoattack(net, x, y, eps=1.5)
