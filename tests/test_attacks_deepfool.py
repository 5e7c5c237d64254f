"""DeepFool against closed forms, exhaustive search and a slow loop."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lrlib.attacks import deepfool

FLOOR = 1e-4


def small_net(seed: int = 0, classes: int = 5) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(100, 16), nn.Tanh()
            )
            .append(nn.Linear(16, classes))
            .double()
        )


def images(n: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_deepfool(model, x, *, steps, overshoot, classes, clip):
    """Algorithm 2 of Moosavi-Dezfooli et al. (2016), one image, one class and one hyperplane at a time."""
    results = []
    for clean in x:
        likeliest = model(clean[None])[0].sort(descending=True).indices[:classes].tolist()
        label, total, point = likeliest[0], torch.zeros_like(clean), clean.clone()
        for _ in range(steps):
            if int(model(point[None]).argmax()) != label:
                break
            nearest, step = math.inf, torch.zeros_like(clean)
            for rival in likeliest[1:]:
                point = point.detach().requires_grad_()
                logits = model(point[None])[0]
                gradient_label = torch.autograd.grad(logits[label], point, retain_graph=True)[0]
                gradient_rival = torch.autograd.grad(logits[rival], point)[0]
                w = gradient_rival - gradient_label
                distance = ((logits[rival] - logits[label]).abs() / w.norm()).item()
                if distance < nearest:
                    nearest, step = distance, (distance + FLOOR) * w / w.norm()
            total = total + step
            point = clean + (1 + overshoot) * total
            if clip:
                point = point.clamp(0, 1)
        results.append(point.detach())
    return torch.stack(results)


@pytest.mark.parametrize("overshoot", [0.0, 0.02, 0.5])
def test_one_step_on_an_affine_binary_classifier_goes_the_distance_to_its_hyperplane(overshoot):
    w, b = images(2, 6, seed=2) - 0.5, torch.tensor([0.1, -0.1], dtype=torch.float64)
    x = 0.4 + 0.2 * images(10, 6)
    normal = w[1] - w[0]
    signed = (x @ normal + b[1] - b[0]) / normal.norm()
    expected = x - (1 + overshoot) * (signed + FLOOR * signed.sign())[:, None] * normal / normal.norm()
    x_adv = deepfool(lambda z: z @ w.T + b, x, steps=1, overshoot=overshoot, clip=False)
    torch.testing.assert_close(x_adv, expected)
    assert ((x_adv @ w.T + b).argmax(1) != (x @ w.T + b).argmax(1)).all()


@pytest.mark.parametrize("steps", [1, 50])
def test_one_step_on_an_affine_classifier_goes_to_the_nearest_of_its_hyperplanes(steps):
    w, x, overshoot = images(7, 6, seed=2) - 0.5, images(20, 6), 0.02
    logits = x @ w.T
    label = logits.argmax(1)
    distances = torch.tensor(
        [
            min(
                float((logits[i, label[i]] - logits[i, k]) / (w[k] - w[label[i]]).norm())
                for k in range(7)
                if k != label[i]
            )
            for i in range(20)
        ],
        dtype=torch.float64,
    )
    x_adv = deepfool(lambda z: z @ w.T, x, steps=steps, overshoot=overshoot, clip=False)
    torch.testing.assert_close((x_adv - x).norm(dim=1), (1 + overshoot) * (distances + FLOOR))
    assert ((x_adv @ w.T).argmax(1) != label).all()


def test_the_perturbation_of_a_curved_classifier_is_close_to_the_smallest_of_an_exhaustive_search():
    def model(z):
        u, v = z[:, 0], z[:, 1]
        return torch.stack([2 * u + 0.3 * (3 * v).sin(), 1.5 * v + u * v, 1.2 - u + v.square()], dim=1)

    x = 0.3 + 0.4 * images(6, 2)
    angles = torch.arange(0, 2 * math.pi, math.pi / 360, dtype=torch.float64)
    directions = torch.stack([angles.cos(), angles.sin()], dim=1)
    radii = torch.arange(0.0, 1.0, 0.002, dtype=torch.float64)
    found = (deepfool(model, x, overshoot=0.0, clip=False) - x).norm(dim=1)
    for point, radius in zip(x, found, strict=True):
        ring = point + radii[:, None, None] * directions
        fooled = model(ring.flatten(0, 1)).argmax(1).reshape(len(radii), -1) != model(point[None]).argmax(1)
        smallest = radii[fooled.any(dim=1)].min()
        assert smallest - 0.002 <= radius <= 1.1 * smallest + 0.002


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize(("steps", "overshoot", "classes"), [(50, 0.02, 10), (50, 0.02, 3), (2, 0.0, 5), (6, 0.3, 2)])
def test_the_batch_equals_a_loop_over_images_and_classes(clip, steps, overshoot, classes):
    model, x = small_net().eval(), images(12, 2, 5, 5)
    options = {"steps": steps, "overshoot": overshoot, "classes": classes, "clip": clip}
    torch.testing.assert_close(deepfool(model, x, **options), slow_deepfool(model, x, **options))


def test_images_that_need_different_numbers_of_steps_share_a_batch():
    model, x = small_net().eval(), images(12, 2, 5, 5)
    options = {"overshoot": 0.0, "classes": 5, "clip": False}
    after = [slow_deepfool(model, x, steps=steps, **options) for steps in (1, 2, 3)]
    fooled = [int((model(z).argmax(1) != model(x).argmax(1)).sum()) for z in after]
    assert fooled[0] < fooled[-1]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), n=st.integers(0, 5))
def test_an_image_fares_the_same_alone_and_in_a_batch(seed, n):
    model, x = small_net(seed), images(n, 2, 5, 5, seed=seed)
    alone = [deepfool(model, x[i : i + 1]) for i in range(n)]
    torch.testing.assert_close(deepfool(model, x), torch.cat([x[:0], *alone]))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), overshoot=st.floats(0, 3))
def test_attacked_images_stay_in_the_box(seed, overshoot):
    x = images(4, 2, 5, 5, seed=seed)
    x_adv = deepfool(small_net(seed), x, overshoot=overshoot)
    assert ((x_adv >= 0) & (x_adv <= 1)).all()


def test_without_clipping_it_may_leave_the_box():
    x = torch.tensor([[0.01, 0.9]])
    w = torch.tensor([[0.0, 0.0], [-1.0, 0.0]])
    x_adv = deepfool(lambda z: z @ w.T - torch.tensor([0.0, 0.1]), x, clip=False)
    assert x_adv[0, 0] < -0.1
    assert x_adv[0, 1] == x[0, 1]


def test_two_runs_are_equal_and_draw_nothing_at_random():
    model, x = small_net(), images(6, 2, 5, 5)
    before = torch.get_rng_state()
    assert torch.equal(deepfool(model, x), deepfool(model, x))
    assert torch.equal(torch.get_rng_state(), before)


def test_every_image_of_a_small_net_is_fooled():
    model, x = small_net().eval(), images(12, 2, 5, 5)
    assert (model(deepfool(model, x)).argmax(1) != model(x).argmax(1)).all()


def test_fooled_images_are_not_shown_to_the_model_again():
    model, x, sizes = small_net().eval(), images(12, 2, 5, 5), []

    def counting(z):
        sizes.append(len(z))
        return model(z)

    deepfool(counting, x, overshoot=0.0)
    assert sizes[0] == 12
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 12


def test_more_classes_than_logits_means_all_logits():
    model, x = small_net(classes=3), images(5, 2, 5, 5)
    assert torch.equal(deepfool(model, x, classes=10), deepfool(model, x, classes=3))


def test_an_image_that_no_gradient_moves_comes_back_as_it_was():
    def model(z):
        return torch.stack([torch.ones(len(z)), z[:, 0].sub(0.5).relu()], dim=1)

    x = torch.tensor([[0.25, 0.5], [0.75, 0.5]])
    x_adv = deepfool(model, x, clip=False)
    assert torch.equal(x_adv[0], x[0])
    assert model(x_adv).argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize("second", [0.9, 1.0])
def test_a_class_without_gradient_difference_is_no_candidate(second):
    offsets = torch.tensor([1.0, second, 0.0])
    w = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    x = torch.tensor([[0.5, 0.5]])
    x_adv = deepfool(lambda z: z @ w.T + offsets, x, clip=False)
    assert (x_adv @ w.T + offsets).argmax().item() == 2


def test_an_image_on_a_boundary_is_pushed_across():
    x_adv = deepfool(lambda z: z * 1, torch.tensor([[0.5, 0.5]], dtype=torch.float64), overshoot=0.0)
    assert x_adv[0].argmax() == 1
    torch.testing.assert_close((x_adv - 0.5).norm(), torch.tensor(FLOOR, dtype=torch.float64))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_cpu_and_gpu_agree():
    model, x = small_net(), images(6, 2, 5, 5)
    on_cpu = deepfool(model, x)
    torch.testing.assert_close(deepfool(model.cuda(), x.cuda()).cpu(), on_cpu)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.full((2, 3), 1.5)}, r"expected x in \[0, 1\], got values from 1.5 to 1.5"),
        ({"x": torch.zeros(2, 3, dtype=torch.long)}, "floating-point batch .* torch.int64"),
        ({"steps": 0}, "expected steps >= 1, got 0"),
        ({"classes": 1}, "expected classes >= 2, got 1"),
        ({"overshoot": -0.1}, "expected overshoot to be finite and at least 0, got -0.1"),
        ({"overshoot": float("nan")}, "expected overshoot to be finite and at least 0, got nan"),
        ({"model": lambda z: z[:, :1]}, "expected at least 2 logits for each image, got 1"),
        ({"model": lambda z: z[0]}, r"expected logits of shape \(2, classes\), got \(3,\)"),
        ({"model": lambda z: z.detach()}, "expected logits that can be differentiated"),
        ({"model": lambda z: (z - z).sqrt()}, "expected a gradient without NaN"),
    ],
)
def test_bad_input_is_refused_in_a_sentence_that_says_what_came(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        deepfool(**{"model": lambda z: z * 1, "x": torch.full((2, 3), 0.5)} | arguments)
    assert "\n" not in str(caught.value)
