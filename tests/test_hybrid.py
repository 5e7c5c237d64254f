"""The hybrid max-margin model as one network gives scikit-learn's answers, and has gradients."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from lrlib import attacks, metrics
from lrlib.metrics import Hybrid, as_linear, features, features_at, fit_max_margin, max_margin_predictions


def blobs(classes=4, n=120, m=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    centres = 2 * torch.randn(classes, m, generator=generator)
    return centres[y] + torch.randn(n, m, generator=generator), y


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, 5), nn.Linear(5, 4)
    ).eval()


@pytest.mark.parametrize("dim", [None, 3, 9])
def test_the_linear_map_is_scikit_learns_own_pipeline(dim):
    """Scaled, projected and classified by scikit-learn's parts, put together by hand."""
    a, y = blobs()
    parts = [StandardScaler(), *([PCA(dim, random_state=0)] if dim else [])]
    peer = make_pipeline(*parts, SGDClassifier(loss="hinge", alpha=0.01, random_state=0)).fit(a.numpy(), y.numpy())
    linear = as_linear(fit_max_margin(a, y, dim=dim))
    margins = peer.decision_function(a.numpy())
    np.testing.assert_allclose(linear(a).detach().numpy(), margins, rtol=1e-4, atol=1e-4 * np.abs(margins).max())
    assert (linear(a).argmax(1).numpy() == peer.predict(a.numpy())).all()


def test_two_classes_have_two_opposite_margins():
    a, y = blobs(classes=2)
    classifier = fit_max_margin(a, y)
    margins = as_linear(classifier)(a).detach()
    torch.testing.assert_close(margins[:, 0], -margins[:, 1])
    assert torch.equal(margins.argmax(1), max_margin_predictions(classifier, a))


def test_classes_with_a_gap_are_refused():
    a, y = blobs(classes=3)
    with pytest.raises(ValueError, match=r"expected a classifier of the classes 0 to 1, got \[.*0.*, .*2.*\]"):
        as_linear(fit_max_margin(a[y != 1], y[y != 1]))


@pytest.mark.parametrize("tap", ["2", "4"])
def test_the_hybrid_answers_like_the_classifier_on_the_representations(tap):
    model, x = network(), torch.rand(60, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    y = torch.arange(60) % 4
    a = features(model, x, tap)
    classifier = fit_max_margin(a, y, dim=3)
    hybrid = Hybrid(model, tap, classifier)
    assert torch.equal(metrics.predictions(hybrid, x), max_margin_predictions(classifier, a))
    assert not any(module._forward_hooks for module in model.modules())


def test_the_hybrid_can_be_attacked_from_end_to_end():
    model, x = network(), torch.rand(60, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    bright = x.flatten(1).mean(1)
    y = (bright > bright.median()).long()
    hybrid = Hybrid(model, "2", fit_max_margin(features(model, x, "2"), y))
    right = metrics.accuracy(hybrid, x, y)
    x_adv = attacks.pgd(
        hybrid, x, y, eps=0.3, step_size=0.1, steps=5, random_start=False, loss=attacks.margin_per_example
    )
    assert metrics.accuracy(hybrid, x_adv, y) < right


def test_a_tap_that_does_not_exist_is_refused_with_those_that_do():
    a, y = blobs()
    with pytest.raises(ValueError, match=r"expected a tap of this model, one of 0, 1, 2, 3, 4, 5, got 'fc'"):
        Hybrid(network(), "fc", fit_max_margin(a, y))


def test_several_taps_at_once_give_what_each_gives_alone():
    model, x = network(), torch.rand(7, 1, 4, 4)
    parts = list(features_at(model, x, ["1", "4"], batch_size=3))
    assert [len(part["1"]) for part in parts] == [3, 3, 1]
    for tap in ("1", "4"):
        torch.testing.assert_close(torch.cat([part[tap] for part in parts]), features(model, x, tap))
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match="got 'nope'"):
        features_at(model, x, ["1", "nope"])


class Twice(nn.Module):
    """Runs its child twice."""

    def __init__(self):
        super().__init__()
        self.child = nn.Identity()

    def forward(self, x):
        return self.child(self.child(x))


def test_a_tap_that_runs_twice_is_refused_at_several_taps_too():
    with pytest.raises(ValueError, match="expected tap 'child' to run once in a forward pass, it ran 2 times"):
        next(features_at(Twice(), torch.ones(2, 3), ["child"]))
