"""Attacks that follow the sign of a gradient: fgsm, pgd, iterative_least_likely."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lrlib.attacks import cross_entropy_per_example, fgsm, iterative_least_likely, pgd

SIGN_ATTACKS = {
    "fgsm": lambda model, x, y, eps, seed=0: fgsm(model, x, y, eps=eps),
    "pgd": lambda model, x, y, eps, seed=0: pgd(model, x, y, eps=eps, step_size=eps / 3, steps=4, random_start=False),
    "pgd_random_start": lambda model, x, y, eps, seed=0: pgd(
        model, x, y, eps=eps, step_size=eps / 3, steps=4, generator=torch.Generator().manual_seed(seed)
    ),
    "iterative_least_likely": lambda model, x, y, eps, seed=0: iterative_least_likely(
        model, x, y, eps=eps, step_size=eps / 3, steps=4
    ),
}
every_attack = pytest.mark.parametrize("attack", SIGN_ATTACKS.values(), ids=SIGN_ATTACKS.keys())


def small_net(seed: int = 0, classes: int = 4) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(100, classes)
        ).double()


def images(n: int, *shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# Closed forms and exhaustive search


@pytest.mark.parametrize("steps", [1, 7, 20])
def test_pgd_reaches_the_optimum_of_a_linear_model(steps):
    w = torch.tensor([[1.0, -2.0, 0.5], [-1.0, 1.0, 3.0]])
    x, y, eps = torch.full((4, 3), 0.5), torch.tensor([0, 1, 0, 1]), 8 / 255
    corner = x - eps * (w[y] - w[1 - y]).sign()
    x_adv = pgd(lambda z: z @ w.T, x, y, eps=eps, step_size=eps, steps=steps, random_start=False)
    torch.testing.assert_close(x_adv, corner)


def test_pgd_forgets_a_random_start_once_its_steps_cross_the_ball():
    w = torch.tensor([[1.0, -2.0, 0.5], [-1.0, 1.0, 3.0]])
    x, y, eps = torch.full((4, 3), 0.5), torch.tensor([0, 1, 0, 1]), 8 / 255
    corner = x - eps * (w[y] - w[1 - y]).sign()
    generator = torch.Generator().manual_seed(0)
    x_adv = pgd(lambda z: z @ w.T, x, y, eps=eps, step_size=eps / 5, steps=10, generator=generator)
    torch.testing.assert_close(x_adv, corner)


def test_fgsm_moves_every_coordinate_of_a_linear_model_by_eps_against_the_label():
    w = torch.tensor([[2.0, -1.0], [-3.0, 0.5]])
    x_adv = fgsm(lambda z: z @ w.T, torch.full((2, 2), 0.5), torch.tensor([0, 1]), eps=0.125)
    torch.testing.assert_close(x_adv, torch.tensor([[0.375, 0.625], [0.625, 0.375]]))


def test_a_coordinate_without_gradient_stays_where_it_is():
    w = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    x_adv = fgsm(lambda z: z @ w.T, torch.full((1, 2), 0.5), torch.tensor([0]), eps=0.25)
    assert x_adv.tolist() == [[0.25, 0.5]]


@pytest.mark.parametrize("label", [0, 1])
def test_pgd_finds_the_worst_point_of_an_exhaustive_search_in_two_dimensions(label):
    def model(z):
        rising = (2 * z[:, 0]).exp() - 3 * z[:, 1].sqrt() + z[:, 0] * (1 - z[:, 1])
        return torch.stack([rising, -rising], dim=1)

    x, y, eps = torch.tensor([[0.5, 0.45]], dtype=torch.float64), torch.tensor([label]), 0.2
    offsets = torch.linspace(-eps, eps, 81, dtype=torch.float64)
    grid = x + torch.cartesian_prod(offsets, offsets)
    worst = cross_entropy_per_example(model(grid), y.expand(len(grid))).max()
    x_adv = pgd(model, x, y, eps=eps, step_size=0.05, steps=10, random_start=False)
    torch.testing.assert_close(cross_entropy_per_example(model(x_adv), y)[0], worst)


def test_pgd_finds_the_worst_corner_where_the_box_cuts_the_ball():
    w = torch.tensor([[1.0, -1.0, 2.0], [-2.0, 3.0, 1.0]], dtype=torch.float64)
    x, y, eps = torch.tensor([[0.05, 0.98, 0.5]], dtype=torch.float64), torch.tensor([0]), 0.1
    ends = [((v - eps).clamp(min=0).item(), (v + eps).clamp(max=1).item()) for v in x[0]]
    corners = torch.tensor(list(itertools.product(*ends)), dtype=torch.float64)
    worst = corners[cross_entropy_per_example(corners @ w.T, y.expand(len(corners))).argmax()]
    x_adv = pgd(lambda z: z @ w.T, x, y, eps=eps, step_size=0.03, steps=20, random_start=False)
    torch.testing.assert_close(x_adv[0], worst)


def slow_pgd(model, x, y, *, eps, step_size, steps):
    rows = []
    for i in range(len(x)):
        point = x[i : i + 1].clone()
        for _ in range(steps):
            point.requires_grad_()
            loss = -model(point).log_softmax(dim=1)[0, y[i]]
            point = point.detach() + step_size * torch.autograd.grad(loss, point)[0].sign()
            point = torch.minimum(torch.maximum(point, x[i : i + 1] - eps), x[i : i + 1] + eps)
            point = point.clamp(0, 1)
        rows.append(point)
    return torch.cat(rows)


def test_pgd_equals_a_loop_over_single_images():
    model, x, y = small_net().eval(), images(6, 2, 5, 5), torch.arange(6) % 4
    options = {"eps": 0.1, "step_size": 0.03, "steps": 5}
    expected = slow_pgd(model, x, y, **options)
    torch.testing.assert_close(pgd(model, x, y, random_start=False, **options), expected)


def test_fgsm_is_one_step_of_pgd_without_a_start():
    model, x, y = small_net(), images(3, 2, 5, 5), torch.tensor([0, 1, 2])
    torch.testing.assert_close(
        fgsm(model, x, y, eps=0.1), slow_pgd(model.eval(), x, y, eps=0.1, step_size=0.1, steps=1)
    )


def slow_least_likely(model, x, *, eps, step_size, steps, rechoose=True):
    rows, targets = [], []
    for i in range(len(x)):
        point, chosen = x[i : i + 1].clone(), []
        for _ in range(steps):
            point.requires_grad_()
            log_likelihood = model(point).log_softmax(dim=1)[0]
            chosen.append(int(log_likelihood.argmin()) if rechoose or not chosen else chosen[0])
            ascent = torch.autograd.grad(log_likelihood[chosen[-1]], point)[0].sign()
            point = point.detach() + step_size * ascent
            point = torch.minimum(torch.maximum(point, x[i : i + 1] - eps), x[i : i + 1] + eps).clamp(0, 1)
        rows.append(point)
        targets.append(chosen)
    return torch.cat(rows), targets


def test_iterative_least_likely_chooses_its_target_again_at_each_step():
    model, x = small_net().eval(), images(6, 2, 5, 5)
    options = {"eps": 0.4, "step_size": 0.07, "steps": 8}
    expected, targets = slow_least_likely(model, x, **options)
    chosen_once, _ = slow_least_likely(model, x, **options, rechoose=False)
    assert any(len(set(chosen)) > 1 for chosen in targets)
    assert not torch.allclose(expected, chosen_once)
    x_adv = iterative_least_likely(model, x, torch.zeros(6, dtype=torch.long), **options)
    torch.testing.assert_close(x_adv, expected)


def test_iterative_least_likely_pays_no_heed_to_the_labels():
    model, x, y = small_net(), images(4, 2, 5, 5), torch.arange(4)
    options = {"eps": 0.1, "step_size": 0.03, "steps": 3}
    first, second = (iterative_least_likely(model, x, labels, **options) for labels in (y, 3 - y))
    assert torch.equal(first, second)


def test_iterative_least_likely_can_start_at_random():
    model, x, y = small_net(), images(4, 2, 5, 5), torch.arange(4)
    draws = [
        iterative_least_likely(
            model, x, y, eps=0.1, step_size=0.01, steps=1, random_start=True, generator=torch.Generator().manual_seed(s)
        )
        for s in (0, 0, 1)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_pgd_climbs_the_loss_that_it_is_given():
    def target_logit(logits, y):
        return logits[torch.arange(len(y)), y]

    w = torch.tensor([[1.0, -2.0], [-1.0, 1.0]])
    x, y = torch.full((2, 2), 0.5), torch.tensor([0, 1])
    x_adv = pgd(lambda z: z @ w.T, x, y, eps=0.125, step_size=0.125, steps=1, random_start=False, loss=target_logit)
    torch.testing.assert_close(x_adv, x + 0.125 * w[y].sign())


def test_a_step_of_zero_returns_the_start_itself_and_starts_fill_the_ball_evenly():
    x, eps = torch.full((500, 20), 0.5, dtype=torch.float64), 0.25
    options = {"eps": eps, "step_size": 0.0, "steps": 1, "generator": torch.Generator().manual_seed(0)}
    start = pgd(lambda z: z[:, :2], x, torch.zeros(500, dtype=torch.long), **options)
    heights = ((start - x + eps) / (2 * eps)).flatten().sort().values
    uniform = torch.linspace(0, 1, len(heights), dtype=torch.float64)
    # Kolmogorov's statistic exceeds 1.95 / sqrt(n) once in a thousand draws.
    assert (heights - uniform).abs().max() < 1.95 / len(heights) ** 0.5


# Budgets


@every_attack
@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    eps=st.floats(0, 1.5),
    n=st.integers(0, 4),
    seed=st.integers(0, 2**16),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_attacked_images_stay_in_the_ball_and_in_the_box(attack, eps, n, seed, dtype):
    model, x = small_net().to(dtype), images(n, 2, 5, 5, seed=seed, dtype=dtype)
    x_adv = attack(model, x, torch.arange(n) % 4, eps, seed=seed)
    radius = torch.tensor(eps, dtype=dtype)
    assert x_adv.shape == x.shape and x_adv.dtype == dtype
    assert ((x_adv >= x - radius) & (x_adv <= x + radius) & (x_adv >= 0) & (x_adv <= 1)).all()


@every_attack
def test_the_model_is_only_shown_images_in_the_ball_and_in_the_box(attack):
    net, x, eps, shown = small_net(), images(4, 2, 5, 5), 0.4, []

    def watched(z):
        shown.append(z.detach())
        return net(z)

    attack(watched, x, torch.arange(4), eps)
    points = torch.stack(shown)
    assert ((points >= x - eps) & (points <= x + eps) & (points >= 0) & (points <= 1)).all()


@every_attack
@pytest.mark.parametrize("shape", [(3,), (2, 1, 1), (4, 1, 1, 1), (1,), ()])
def test_a_budget_may_differ_by_channel_example_or_pixel(attack, shape):
    model = nn.Sequential(nn.Flatten(), nn.Linear(18, 3))
    x, y = images(4, 2, 3, 3, dtype=torch.float32), torch.tensor([0, 1, 2, 0])
    eps = 0.2 * images(*shape, seed=2, dtype=torch.float64) if shape else torch.tensor(0.1)
    x_adv = attack(model, x, y, eps)
    radius = eps.to(x)
    assert ((x_adv >= x - radius) & (x_adv <= x + radius)).all()
    assert not torch.equal(x_adv, x)


@every_attack
def test_a_number_and_a_full_tensor_are_the_same_budget(attack):
    model, x, y = small_net(), images(3, 2, 5, 5), torch.arange(3)
    assert torch.equal(attack(model, x, y, 0.1), attack(model, x, y, torch.full_like(x, 0.1)))


def test_a_budget_in_normalised_units_attacks_like_one_in_the_normalised_space():
    net, std = small_net().eval(), torch.tensor([0.25, 0.5], dtype=torch.float64)[:, None, None]
    x, y = 0.4 + 0.2 * images(3, 2, 5, 5), torch.arange(3)
    in_pixels = pgd(lambda z: net(z / std), x, y, eps=0.1 * std, step_size=0.03 * std, steps=4, random_start=False)
    scaled = x / std
    for _ in range(4):
        scaled.requires_grad_()
        gradient = torch.autograd.grad(cross_entropy_per_example(net(scaled), y).sum(), scaled)[0]
        scaled = (scaled.detach() + 0.03 * gradient.sign()).clamp(x / std - 0.1, x / std + 0.1)
    torch.testing.assert_close(in_pixels / std, scaled)


@every_attack
def test_no_budget_returns_the_clean_images(attack):
    model, x = small_net(), images(3, 2, 5, 5)
    assert torch.equal(attack(model, x, torch.arange(3), 0.0), x)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), less=st.floats(0, 0.5), more=st.floats(0, 0.5))
def test_more_budget_never_helps_the_defender_of_a_linear_model(seed, less, more):
    x, w, y = images(8, 6, seed=seed), images(2, 6, seed=seed + 1) - 0.5, torch.arange(8) % 2

    def loss_at(eps):
        x_adv = pgd(lambda z: z @ w.T, x, y, eps=eps, step_size=eps / 2, steps=3, random_start=False)
        return cross_entropy_per_example(x_adv @ w.T, y)

    assert (loss_at(less + more) >= loss_at(less) - 1e-12).all()


# Randomness and batches


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 4))
def test_equal_generators_give_equal_attacks_and_the_global_state_is_left_alone(seed, steps):
    model, x, y = small_net(), images(3, 2, 5, 5), torch.arange(3)
    before = torch.get_rng_state()
    first, second = (
        pgd(model, x, y, eps=0.1, step_size=0.03, steps=steps, generator=torch.Generator().manual_seed(seed))
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_goes_on_from_one_call_to_the_next():
    model, x, y, generator = small_net(), images(3, 2, 5, 5), torch.arange(3), torch.Generator().manual_seed(0)
    first, second = (pgd(model, x, y, eps=0.1, step_size=0.0, steps=1, generator=generator) for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("attack", [SIGN_ATTACKS[name] for name in ("fgsm", "pgd", "iterative_least_likely")])
@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16))
def test_an_image_fares_the_same_alone_and_in_a_batch(attack, seed):
    model, x, y = small_net(seed), images(5, 2, 5, 5, seed=seed), torch.arange(5) % 4
    alone = torch.cat([attack(model, x[i : i + 1], y[i : i + 1], 0.1) for i in range(5)])
    torch.testing.assert_close(attack(model, x, y, 0.1), alone)


@every_attack
def test_labels_of_any_integer_type_will_do(attack):
    model, x, y = small_net(), images(3, 2, 5, 5), torch.arange(3)
    assert torch.equal(attack(model, x, y, 0.1), attack(model, x, y.to(torch.uint8), 0.1))


# Devices


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
@every_attack
def test_a_cpu_generator_gives_the_same_attack_on_cpu_and_gpu(attack):
    model, x, y = small_net(), images(4, 2, 5, 5), torch.arange(4)
    on_cpu = attack(model, x, y, 0.1)
    on_gpu = attack(model.cuda(), x.cuda(), y.cuda(), 0.1)
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), on_cpu)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_gpu_generator_repeats_itself():
    model, x, y = small_net().cuda(), images(4, 2, 5, 5).cuda(), torch.arange(4)
    first, second = (
        pgd(model, x, y, eps=0.1, step_size=0.03, steps=3, generator=torch.Generator("cuda").manual_seed(0))
        for _ in range(2)
    )
    assert torch.equal(first, second)


# Bad input


def attempt(model=None, x=None, y=None, **options):
    x = torch.full((2, 3), 0.5) if x is None else x
    y = torch.tensor([0, 1]) if y is None else y
    model = model or (lambda z: z[:, :2] * 1)
    return pgd(model, x, y, **{"eps": 0.1, "step_size": 0.1, "steps": 1, "random_start": False} | options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.full((2, 3), 1.5)}, r"expected x in \[0, 1\], got values from 1.5 to 1.5"),
        ({"x": torch.full((2, 3), -0.5)}, r"expected x in \[0, 1\], got values from -0.5"),
        ({"x": torch.full((2, 3), torch.nan)}, r"expected x in \[0, 1\], got values from nan"),
        ({"x": torch.zeros(2, 3, dtype=torch.uint8)}, "floating-point batch .* torch.uint8"),
        ({"x": torch.tensor(0.5)}, r"batch \(n, ...\), got torch.float32 of shape \(\)"),
        ({"y": torch.tensor([0])}, r"expected y to hold 2 integer labels.*shape \(1,\)"),
        ({"y": torch.tensor([[0], [1]])}, r"expected y to hold 2 integer labels.*shape \(2, 1\)"),
        ({"y": torch.tensor([0.0, 1.0])}, "expected y to hold 2 integer labels.*float32"),
        ({"y": torch.tensor([True, False])}, "expected y to hold 2 integer labels.*bool"),
        ({"y": torch.tensor([0, -1])}, "expected labels from 0 on, got -1"),
        ({"y": torch.tensor([0, 2])}, "expected at least 3 logits for each image, got 2"),
        ({"eps": -0.1}, "expected eps to be finite and at least 0, got -0.1"),
        ({"eps": float("nan")}, "expected eps to be finite and at least 0, got nan"),
        ({"eps": float("inf")}, "expected eps to be finite and at least 0, got inf"),
        ({"step_size": -1}, "expected step_size to be finite and at least 0, got -1"),
        ({"eps": torch.full((2,), 0.1)}, r"expected eps to broadcast against x of shape \(2, 3\), got \(2,\)"),
        ({"eps": torch.full((4, 2, 3), 0.1)}, r"expected eps to broadcast .* got \(4, 2, 3\)"),
        ({"step_size": torch.full((1, 1, 1), 0.1)}, r"expected step_size to broadcast .* got \(1, 1, 1\)"),
        ({"steps": 0}, "expected steps >= 1, got 0"),
        ({"model": lambda z: z[:, 0]}, r"expected logits of shape \(2, classes\), got \(2,\)"),
        ({"model": lambda z: z.flatten()[None]}, r"expected logits of shape \(2, classes\), got \(1, 6\)"),
        ({"model": lambda z: z.detach()}, "expected logits that can be differentiated"),
        ({"model": lambda z: z / 0}, "expected a gradient without NaN, got 6 of 6"),
        ({"loss": lambda logits, y: logits.mean()}, r"one value for each of 2 examples, got \(\)"),
    ],
)
def test_bad_input_is_refused_in_a_sentence_that_says_what_came(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        attempt(**arguments)
    assert "\n" not in str(caught.value)
