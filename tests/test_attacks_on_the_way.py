"""What attacks do on the way: losses, restarts, stopping once fooled, another victim, and the search for a radius."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lrlib import attacks

W = torch.tensor([[1.0, -2.0, 0.5], [-1.0, 1.0, 3.0], [0.0, 0.5, -1.0]], dtype=torch.float64)


def linear(z):
    return z @ W.T


def small_net(seed=0, classes=4):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, classes)).double().eval()


def images(n, *shape, seed=1):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


# Losses


def test_the_margin_is_the_best_other_logit_less_the_label_s():
    logits, y = torch.tensor([[1.0, 4.0, 2.0], [3.0, -1.0, 3.5]]), torch.tensor([1, 0])
    assert attacks.margin_per_example(logits, y).tolist() == [2.0 - 4.0, 3.5 - 3.0]


def test_the_ratio_divides_the_margin_by_the_distance_from_the_largest_to_the_third():
    logits, y = torch.tensor([[1.0, 4.0, 2.0, 0.0], [3.0, -1.0, 3.5, 1.0]]), torch.tensor([1, 0])
    assert attacks.difference_of_logits_ratio(logits, y).tolist() == pytest.approx([-2 / (4 - 1), 0.5 / (3.5 - 1)])


@given(st.floats(1e-3, 1e6), st.floats(-100, 100), st.integers(0, 100))
def test_the_ratio_does_not_change_when_logits_are_scaled_and_shifted(scale, shift, seed):
    logits, y = images(5, 6, seed=seed), torch.tensor([0, 1, 2, 3, 4])
    before = attacks.difference_of_logits_ratio(logits, y)
    torch.testing.assert_close(
        attacks.difference_of_logits_ratio(scale * logits + shift, y), before, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("loss", [attacks.margin_per_example, attacks.difference_of_logits_ratio])
def test_margins_are_above_zero_exactly_where_the_answer_is_wrong(loss):
    logits, y = images(200, 5), torch.arange(200) % 5
    assert ((loss(logits, y) > 0) == (logits.argmax(dim=1) != y)).all()


def test_the_ratio_needs_three_classes():
    with pytest.raises(ValueError, match="expected at least 3 classes for the ratio of differences, got 2"):
        attacks.difference_of_logits_ratio(torch.zeros(1, 2), torch.tensor([0]))


def test_logits_scaled_by_a_million_hide_cross_entropy_s_gradient_but_not_the_margin_s():
    x = torch.tensor([[0.9, 0.1, 0.5]], dtype=torch.float64)
    y = linear(x).argmax(dim=1)
    certain = lambda z: 1e6 * linear(z)  # noqa: E731
    assert (attacks.gradient(certain, x, y) == 0).all()
    assert (attacks.gradient(certain, x, y, attacks.margin_per_example) != 0).any()
    assert (attacks.gradient(certain, x, y, attacks.difference_of_logits_ratio) != 0).any()


# The way


def test_the_last_iterate_is_what_pgd_returns_and_the_first_is_the_image():
    model, x, y = small_net(), images(6, 3, 2, 2), torch.arange(6) % 4
    options = {"eps": 0.1, "step_size": 0.03, "steps": 5, "random_start": False}
    way = list(attacks.iterates(model, x, y, **options))
    assert len(way) == 6 and torch.equal(way[0], x)
    assert torch.equal(way[-1], attacks.pgd(model, x, y, **options))


def test_each_iterate_is_what_pgd_with_so_many_steps_returns():
    model, x, y = small_net(), images(6, 3, 2, 2), torch.arange(6) % 4
    way = list(attacks.iterates(model, x, y, eps=0.1, step_size=0.03, steps=4, generator=source()))
    for steps in (1, 2, 3, 4):
        expected = attacks.pgd(model, x, y, eps=0.1, step_size=0.03, steps=steps, generator=source())
        assert torch.equal(way[steps], expected)


def test_an_image_stays_at_its_first_wrong_iterate():
    model, x = small_net(), images(40, 3, 2, 2)
    y = model(x).argmax(dim=1)
    options = {"eps": 0.4, "step_size": 0.02, "steps": 20, "random_start": False}
    way = list(attacks.iterates(model, x, y, **options))
    frozen = attacks.pgd(model, x, y, until_fooled=True, **options)
    taken = set()
    for i in range(len(x)):
        wrong = [k for k, point in enumerate(way) if model(point[i : i + 1]).argmax() != y[i]]
        taken.add(wrong[0] if wrong else None)
        torch.testing.assert_close(frozen[i], way[wrong[0] if wrong else -1][i])
    assert len(taken) > 3  # images that took different numbers of steps


def test_until_fooled_an_image_that_is_wrong_already_is_left_alone():
    model, x = small_net(), images(5, 3, 2, 2)
    wrong = (model(x).argmax(dim=1) + 1) % 4
    x_adv = attacks.pgd(model, x, wrong, eps=0.1, step_size=0.1, steps=3, random_start=False, until_fooled=True)
    assert torch.equal(x_adv, x)


def test_with_a_victim_the_gradient_is_one_model_s_and_the_stop_the_other_s():
    surrogate, victim, x = small_net(0), small_net(1), images(40, 3, 2, 2)
    y = victim(x).argmax(dim=1)
    options = {"eps": 0.4, "step_size": 0.02, "steps": 20, "random_start": False}
    way = list(attacks.iterates(surrogate, x, y, **options))
    stopped = attacks.pgd(surrogate, x, y, until_fooled=True, victim=victim, **options)
    for i in range(len(x)):
        wrong = [k for k, point in enumerate(way) if victim(point[i : i + 1]).argmax() != y[i]]
        torch.testing.assert_close(stopped[i], way[wrong[0] if wrong else -1][i])


def test_without_clipping_iterates_leave_the_box_but_not_the_ball():
    x, y = torch.tensor([[0.05, 0.98, 0.5]], dtype=torch.float64), torch.tensor([0])
    x_adv = attacks.pgd(linear, x, y, eps=0.1, step_size=0.1, steps=3, random_start=False, clip=False)
    torch.testing.assert_close((x_adv - x).abs(), torch.full_like(x, 0.1))
    assert x_adv.min() < 0 and x_adv.max() > 1


def test_restarts_fool_at_least_as_many_images_and_attack_only_those_that_stand():
    model, x = small_net(), images(200, 3, 2, 2)
    y = model(x).argmax(dim=1)
    options = {"eps": 0.15, "step_size": 0.02, "steps": 1}
    once = attacks.pgd(model, x, y, generator=source(), **options)
    often = attacks.pgd(model, x, y, restarts=10, generator=source(), **options)
    fooled = model(once).argmax(dim=1) != y
    assert torch.equal(often[fooled], once[fooled])
    assert (model(often).argmax(dim=1) != y).sum() > fooled.sum() > 0


class Counted(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model, self.seen = model, 0

    def forward(self, x):
        self.seen += len(x)
        return self.model(x)


@pytest.mark.parametrize(("patience", "starts"), [(None, 8), (1, 1), (3, 3)])
def test_restarts_end_after_so_many_in_vain(patience, starts):
    model, x = small_net(), images(4, 3, 2, 2)
    y = model(x).argmax(dim=1)
    counted = Counted(model)
    attacks.pgd(counted, x, y, eps=1e-9, step_size=1e-9, steps=1, restarts=8, patience=patience, generator=source())
    # Each start costs one gradient, and one look at who stands follows all but the eighth.
    looks = starts if starts < 8 else starts - 1
    assert counted.seen == len(x) * (starts + looks)


def test_restarts_need_a_random_start():
    with pytest.raises(ValueError, match="expected a random start for more than one start, got restarts=2 without"):
        attacks.pgd(
            linear, images(1, 3), torch.tensor([0]), eps=0.1, step_size=0.1, steps=1, random_start=False, restarts=2
        )


@pytest.mark.parametrize("name", ["restarts", "patience"])
def test_counts_of_restarts_start_at_one(name):
    with pytest.raises(ValueError, match=f"expected {name} >= 1, got 0"):
        attacks.pgd(linear, images(1, 3), torch.tensor([0]), eps=0.1, step_size=0.1, steps=1, **{name: 0})


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 0.5), st.integers(1, 5))
def test_more_budget_never_helps_a_linear_model(seed, eps, steps):
    x, y = images(5, 3, seed=seed), torch.arange(5) % 2
    two = lambda z: z @ W[:2].T  # noqa: E731
    options = {"random_start": False, "step_size": eps / 2}

    def losses(radius, steps):
        x_adv = attacks.pgd(two, x, y, eps=radius, steps=steps, **options)
        return attacks.cross_entropy_per_example(two(x_adv), y)

    start = attacks.cross_entropy_per_example(two(x), y)
    assert (losses(eps, steps) >= start - 1e-12).all()
    assert (losses(2 * eps, steps) >= losses(eps, steps) - 1e-12).all()
    assert (losses(eps, steps + 1) >= losses(eps, steps) - 1e-12).all()


# The smallest step, the smallest radius


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_the_smallest_fgsm_step_on_a_linear_model_is_its_margin_over_the_l1_norm(seed):
    x = 0.3 + 0.4 * images(8, 3, seed=seed)
    w = W[0] - W[1]
    two = lambda z: torch.stack([z @ w - 0.5 * w.sum(), torch.zeros(len(z), dtype=z.dtype)], dim=1)  # noqa: E731
    y = two(x).argmax(dim=1)
    exact = (two(x)[:, 0].abs() / w.abs().sum()).clamp(min=1e-12)
    found = (attacks.smallest_fgsm(two, x, y, eps=0.3, tries=3000) - x).abs().amax(dim=1)
    assert (found >= exact - 1e-9).all() and (found <= exact + 0.3 / 3000 + 1e-9).all()


def test_the_smallest_fgsm_step_of_a_wrong_image_is_none_and_of_a_firm_one_the_longest():
    x, y = torch.tensor([[0.5, 0.5, 0.5]] * 2, dtype=torch.float64), torch.tensor([0, 1])
    right = linear(x).argmax(dim=1)
    x_adv = attacks.smallest_fgsm(linear, x, y, eps=0.01)
    for i in range(2):
        moved = (x_adv[i] - x[i]).abs().amax().item()
        assert moved == pytest.approx(0.0 if right[i] != y[i] else 0.01)


@given(st.floats(0.0005, 0.2), st.sampled_from([0.001, 0.004]))
def test_the_smallest_radius_is_the_first_multiple_at_which_enough_are_fooled(needed, resolution):
    tried = []

    def attack(eps):
        tried.append(eps)
        return torch.full((100, 1), eps, dtype=torch.float64)

    found, x_adv = attacks.smallest_radius(attack, lambda x: x[:, 0] >= needed, resolution=resolution)
    assert found == pytest.approx(resolution * max(1, math.ceil(round(needed / resolution, 9))))
    assert (x_adv == found).all() and len(tried) <= 17  # 8 doublings and 8 halvings reach any multiple up to 256


@pytest.mark.parametrize(("share", "found"), [(0.99, True), (0.98, False)])
def test_the_rate_is_at_least_ninety_nine_percent(share, found):
    fooled = torch.arange(100) < round(100 * share)
    assert (attacks.smallest_radius(lambda eps: torch.zeros(100, 1), lambda x: fooled) is not None) == found


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"resolution": 0.0}, "expected resolution to be finite and above 0, got 0.0"),
        ({"most": 0}, "expected most >= 1, got 0"),
        ({"rate": 1.5}, r"expected rate in \(0, 1\], got 1.5"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(bad, said):
    with pytest.raises(ValueError, match=said):
        attacks.smallest_radius(lambda eps: torch.zeros(1), lambda x: x > 0, **bad)


# A chosen class, a chosen representation


def test_a_targeted_image_has_the_confidence_and_was_stopped_there():
    net, x = small_net(), images(12, 3, 2, 2)
    model = lambda z: 20 * net(z)  # noqa: E731
    y_target = model(x).argmin(dim=1)
    options = {"weight": 0.01, "step_size": 0.05}
    x_adv = attacks.targeted(model, x, y_target, confidence=0.9, steps=3000, **options)
    hit = attacks.reached(model, x_adv, y_target, confidence=0.9)
    assert hit.any() and x_adv.min() >= 0 and x_adv.max() <= 1
    certain = model(x_adv).softmax(dim=1).gather(1, y_target[:, None])[:, 0]
    assert torch.equal(certain >= 0.9, hit)
    assert certain[hit].max() < 0.95  # one short step beyond 0.9, not many


def test_a_targeted_step_is_gradient_descent_on_the_report_s_loss():
    model, x, y_target, weight = small_net(), 0.3 + 0.4 * images(3, 3, 2, 2), torch.tensor([0, 1, 2]), 0.5
    first = attacks.targeted(model, x, y_target, weight=weight, step_size=0.01, steps=1, confidence=0.999)
    second = attacks.targeted(model, x, y_target, weight=weight, step_size=0.01, steps=2, confidence=0.999)
    for i in range(3):
        point = first[i : i + 1].clone().requires_grad_()
        loss = -model(point).log_softmax(dim=1)[0, y_target[i]] + weight * (point - x[i : i + 1]).norm()
        (slope,) = torch.autograd.grad(loss, point)
        torch.testing.assert_close(second[i : i + 1], point.detach() - 0.01 * slope)


def test_the_weight_keeps_a_targeted_image_closer():
    model, x = small_net(), 0.3 + 0.4 * images(8, 3, 2, 2)
    y_target = model(x).argmin(dim=1)
    far, near = (
        attacks.targeted(model, x, y_target, weight=weight, confidence=0.999, steps=300) for weight in (0.0, 1.0)
    )
    assert (near - x).norm() < (far - x).norm()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"weight": -1.0}, "expected weight to be finite and at least 0, got -1.0"),
        ({"confidence": 1.0}, r"expected confidence in \(0, 1\), got 1.0"),
        ({"step_size": 0.0}, "expected step_size to be finite and above 0, got 0.0"),
        ({"steps": 0}, "expected steps >= 1, got 0"),
    ],
)
def test_a_targeted_attack_that_makes_no_sense_is_refused(bad, said):
    with pytest.raises(ValueError, match=said):
        attacks.targeted(linear, images(1, 3), torch.tensor([0]), **bad)


def test_an_attack_on_a_linear_representation_ends_at_the_closest_point_of_the_ball():
    x, x_guide = images(4, 3), images(4, 3, seed=2)
    x_adv = attacks.representation(lambda z: 2 * z, x, x_guide, eps=0.1, step_size=0.001, steps=400, random_start=False)
    torch.testing.assert_close(x_adv, x_guide.clamp(x - 0.1, x + 0.1), atol=0.0011, rtol=0)


def test_an_attack_on_the_representation_comes_closer_to_the_guide_s():
    model = small_net()[:3]
    x, x_guide = images(6, 3, 2, 2), images(6, 3, 2, 2, seed=2)
    x_adv = attacks.representation(model, x, x_guide, eps=0.1, step_size=0.02, steps=20, generator=source())
    before, after = ((model(z) - model(x_guide)).norm(dim=1) for z in (x, x_adv))
    assert (after < before).all() and (x_adv - x).abs().max() <= 0.1 + 1e-12


def test_every_image_needs_a_guide():
    with pytest.raises(ValueError, match=r"expected a guide for each image, of shape \(2, 3\), got \(1, 3\)"):
        attacks.representation(linear, images(2, 3), images(1, 3), eps=0.1, step_size=0.1, steps=1)


# DeepFool with a victim


def test_deepfool_with_a_victim_goes_on_until_the_victim_changes_its_mind():
    surrogate, victim, x = small_net(0, classes=3), small_net(1, classes=3), images(30, 3, 2, 2)
    alone = attacks.deepfool(surrogate, x, clip=False)
    x_adv = attacks.deepfool(surrogate, x, clip=False, victim=victim)
    changed = victim(x_adv).argmax(dim=1) != victim(x).argmax(dim=1)
    late = changed & (victim(alone).argmax(dim=1) == victim(x).argmax(dim=1))
    assert changed.float().mean() > 0.7 and late.any()
    assert ((x_adv - x)[late].flatten(1).norm(dim=1) > (alone - x)[late].flatten(1).norm(dim=1)).all()
