"""The factored W of an LR layer against the dense one, from single steps to networks; the randomized cut of a rank."""

import copy
import io
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lrlib import LowRank, attach, models, nystrom
from lrlib.dense import Dense
from lrlib.factored import Factored
from lrlib.lowrank import PROJECTIONS

FORMS = {"dense": Dense, "factored": Factored}
NEVER = 50  # steps between two cuts, more than any test here takes
seeds = st.integers(0, 2**31)
eigh = torch.linalg.eigh


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def symmetric(m, *, seed=0):
    a = gaussian(m, m, seed=seed)
    return (a + a.T) / 2


def activations(n, m, *, seed=0, drift=0, dtype=torch.float64):
    """A batch near an affine subspace, which is another one for another drift."""
    directions = gaussian(3, m, seed=1_000 + drift)
    mean = gaussian(m, seed=2_000 + drift)
    return (gaussian(n, 3, seed=seed) @ directions + 0.3 * gaussian(n, m, seed=seed + 1) + mean).to(dtype)


def truncation(W, rank):
    u, s, vt = np.linalg.svd(W.numpy())
    return torch.from_numpy((u[:, :rank] * s[:rank]) @ vt[:rank])


def both(features, rank, **options):
    return {form: LowRank(features, rank, form=form, **options).double() for form in FORMS}


def train(lr, batches):
    for a in batches:
        lr(a)
        lr.step()
    return lr


def passed(lr, a):
    """Losses of a batch in units of its size, and the gradient of each in the activations."""
    size, a = a.abs().max(), a.clone().requires_grad_()
    losses = lr(a)
    found = {}
    for name, loss, unit in (("projection", losses.projection, size**2), ("norm", losses.norm, 1 + size)):
        found[name] = loss.detach() / unit
        found[f"gradient of {name}"] = torch.autograd.grad(loss, a)[0] * len(a) * size / unit
    return found


def state(lr, size=1.0):
    return {"W": lr.W, "b": lr.b / size}


def assert_alike(got, expected, tolerance=1e-9):
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


def assert_gram_is_that_of_the_rows(lr):
    matrix = lr.matrix
    size = max([1.0, *matrix.V.square().sum(1).tolist()])
    assert_alike(matrix.gram / size, torch.einsum("im,jm->ij", matrix.V, matrix.V) / size, 1e-12)


@contextmanager
def spoiled(failures):
    """Make the first decompositions fail; gives the list of those attempted."""
    attempts = []

    def failing(Z):
        attempts.append(Z)
        if len(attempts) <= failures:
            raise torch.linalg.LinAlgError("the algorithm failed to converge")
        return eigh(Z)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(torch.linalg, "eigh", failing)
        yield attempts


# The two forms of a layer. Step and decay are such that a descent step is stable: step_size * (2 + weight_decay) < 2.

STABLE = [(0.01, 0.0), (0.1, 0.0), (0.1, 0.5), (0.5, 1.0), (0.9, 0.1), (0.99, 0.0)]


@st.composite
def kinds(draw, widest=32, square=False):
    """Arguments of a layer; a square one draws no more columns than its rank."""
    m = draw(st.integers(1, widest))
    rank = draw(st.integers(1, m))
    step_size, weight_decay = draw(st.sampled_from(STABLE))
    return {
        "features": m,
        "rank": rank,
        "columns": rank if square else draw(st.integers(rank, m)),
        "cut_every": draw(st.integers(1, 6)),
        "step_size": step_size,
        "weight_decay": weight_decay,
        "projection": draw(st.sampled_from(PROJECTIONS)),
        "as_written": draw(st.booleans()),
        "members": draw(st.integers(1, 4)),
        "start": draw(st.sampled_from(["leading", "random"])),
        "seed": draw(st.integers(0, 1_000)),
    }


def assert_alike_at_every_step(kind, batches, *, failures=0):
    """Compare the two forms for as long as a change in the 13th digit of the activations changes no 10th one of W.

    A cut can magnify rounding without bound, when it has to choose between nearly equal eigenvalues.
    """
    scale = batches[0].abs().max()
    layers = both(**kind)
    dense, factored, shaken = layers["dense"], layers["factored"], both(**kind)["dense"]
    for lr in (dense, factored, shaken):
        lr.start_(batches[0])
    for k, a in enumerate(batches[1:]):
        assert_alike(passed(factored, a), passed(dense, a))
        shaken(a * (1 + 1e-13 * gaussian(*a.shape, seed=k)))
        for lr in (dense, factored, shaken):
            with spoiled(failures):
                lr.step()
        assert {form: type(lr.matrix) for form, lr in layers.items()} == FORMS
        if (shaken.W - dense.W).abs().max() > 1e-10:
            return
        assert_alike(state(factored, scale), state(dense, scale))
        assert_gram_is_that_of_the_rows(factored)


@settings(max_examples=60, deadline=None)
@given(kinds(), st.lists(st.integers(1, 12), min_size=2, max_size=15), st.sampled_from([1e-3, 1.0, 1e3]), seeds)
def test_both_forms_have_the_same_losses_gradients_w_and_b_at_every_step(kind, sizes, scale, seed):
    batches = [scale * activations(n, kind["features"], seed=seed + 2 * k, drift=k // 4) for k, n in enumerate(sizes)]
    assert_alike_at_every_step(kind, batches)


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("as_written", [False, True])
def test_after_two_hundred_steps_and_many_cuts_both_forms_are_still_alike(projection, as_written):
    layers = both(40, 4, projection=projection, as_written=as_written, cut_every=7)
    for k in range(200):
        a = activations(1 + k % 5, 40, seed=2 * k, drift=k // 20)
        for lr in layers.values():
            train(lr, [a])
    assert_alike(state(layers["factored"]), state(layers["dense"]))
    assert_alike(passed(layers["factored"], a), passed(layers["dense"], a))
    assert_gram_is_that_of_the_rows(layers["factored"])


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_more_rows_than_the_width_are_no_problem(projection):
    layers = both(6, 2, projection=projection, cut_every=5)
    for k in range(14):
        for lr in layers.values():
            train(lr, [activations(10, 6, seed=2 * k)])
        assert_alike(state(layers["factored"]), state(layers["dense"]))
    assert len(layers["factored"].matrix.V) > 6


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_both_forms_are_alike_from_an_indefinite_w_of_ones_own(projection):
    layers = both(20, 3, projection=projection, cut_every=4)
    for lr in layers.values():
        lr.set_(symmetric(20), gaussian(20, seed=1))
        train(lr, [activations(3, 20, seed=2 * k) for k in range(9)])
    assert_alike(state(layers["factored"]), state(layers["dense"]))


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_both_forms_are_alike_in_single_precision_whatever_the_scale_of_the_activations(projection, scale):
    layers = both(30, 3, projection=projection, cut_every=3, start="random")
    for lr in layers.values():
        train(lr.float(), [scale * activations(4, 30, seed=2 * k, dtype=torch.float32) for k in range(7)])
    assert layers["dense"].W.any()
    assert_alike(state(layers["factored"], scale), state(layers["dense"], scale), 1e-4)


@pytest.mark.parametrize("projection", ["ensemble", "nystrom"])
def test_a_w_without_positive_eigenvalues_is_cut_to_nothing_and_grows_again(projection):
    layers = both(20, 3, projection=projection)
    for lr in layers.values():
        lr.set_(-torch.eye(20), torch.zeros(20))(activations(3, 20))
        assert not lr.project_().W.any()
        train(lr, [activations(3, 20, seed=2 * k) for k in range(12)])
    assert layers["dense"].W.any()
    assert_alike(state(layers["factored"]), state(layers["dense"]))


def test_activations_that_are_all_zero_leave_a_factored_layer_finite():
    lr, a = LowRank(30, 3, form="factored", cut_every=2), torch.zeros(4, 30, requires_grad=True)
    for _ in range(5):
        sum(lr(a)).backward()
        lr.step()
    assert torch.isfinite(a.grad).all() and torch.isfinite(lr.W).all() and torch.isfinite(lr.b).all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e200])
def test_activations_that_are_not_finite_leave_a_factored_layer_as_it_was(bad):
    lr = train(both(30, 3)["factored"], [activations(4, 30)])
    before, a = copy.deepcopy(state(lr)), activations(4, 30)
    a[1, 2] = bad
    lr(a)
    with pytest.raises(FloatingPointError, match="expected finite activations"):
        lr.step()
    assert_alike(state(lr), before, 0)
    assert lr.steps == 1
    train(lr, [activations(4, 30)])
    assert_gram_is_that_of_the_rows(lr)


def test_autocast_changes_neither_the_losses_nor_the_step_of_a_factored_layer():
    plain, cast = (LowRank(30, 3, form="factored", cut_every=NEVER) for _ in range(2))
    for k in range(3):
        a = activations(4, 30, seed=2 * k, dtype=torch.float32)
        expected = plain(a)
        plain.step()
        with torch.autocast("cpu", torch.bfloat16):
            assert cast(a) == expected
            cast.step()
    assert_alike(state(cast), state(plain), 0)


def two_taps(form):
    """A network after 30 steps of SGD with two layers of that form, or none."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(10, 48), nn.Tanh(), nn.Linear(48, 20), nn.ReLU(), nn.Linear(20, 3)).double()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    weight, form = (1.0, form) if form else (0.0, "dense")
    layers = {"1": LowRank(48, 5, form=form, cut_every=4), "3": LowRank(20, 2, form=form, cut_every=6, seed=1)}
    layers = {tap: lr.double() for tap, lr in layers.items()}
    with attach(network, layers, lambda_c=weight, lambda_n=0.1 * weight) as lr:
        for k in range(30):
            x = gaussian(6 - k % 2, 10, seed=k)
            loss = F.cross_entropy(network(x), (x[:, 0] > 0).long()) + lr.loss()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            lr.step()
    return dict(network.state_dict()), {tap: state(lr) for tap, lr in layers.items()}


def test_a_network_with_two_taps_is_trained_to_the_same_weights_by_both_forms():
    (weights, layers), (expected, oracles), (bare, _) = (two_taps(form) for form in ("factored", "dense", None))
    assert_alike(weights, expected)
    assert_alike(layers, oracles)
    assert (expected["2.weight"] - bare["2.weight"]).abs().max() > 0.01


# rows


@settings(max_examples=25, deadline=None)
@given(kinds(), st.lists(st.integers(1, 12), min_size=1, max_size=15), seeds)
def test_rows_and_core_reproduce_w_and_the_gram_matrix_is_that_of_the_rows(kind, sizes, seed):
    batches = [activations(n, kind["features"], seed=seed + 2 * k) for k, n in enumerate(sizes)]
    lr = train(both(**kind)["factored"], batches)
    assert_gram_is_that_of_the_rows(lr)
    assert_alike(torch.einsum("pi,pq,qj->ij", lr.matrix.V, lr.matrix.K, lr.matrix.V), lr.W)
    assert torch.equal(lr.W, lr.W.T) and torch.equal(lr.matrix.K, lr.matrix.K.T)


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("as_written", [False, True])
def test_a_step_adds_a_row_an_example_and_a_cut_leaves_those_of_the_rank(projection, as_written):
    lr = LowRank(60, 4, projection=projection, as_written=as_written, members=3, cut_every=3, form="factored").double()
    rows = [len(train(lr, [activations(5, 60, seed=2 * k)]).matrix.V) for k in range(6)]
    rank = 12 if as_written and projection == "ensemble" else 4
    assert rows == [9, 14, rank, rank + 5, rank + 10, rank]


def test_as_written_too_a_projected_w_has_the_target_rank_of_rows():
    lr = train(both(60, 4, as_written=True, members=3)["factored"], [activations(5, 60, seed=2 * k) for k in range(4)])
    assert len(lr.project_().matrix.V) == 4


class Sizes(TorchDispatchMode):
    """The largest number of elements of any tensor that an operation returns."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.largest = max([self.largest, *(t.numel() for t in tree_leaves(out) if isinstance(t, torch.Tensor))])
        return out


def largest_tensor(act):
    with Sizes() as sizes:
        act()
    return sizes.largest


WIDTH = 1000


@pytest.mark.parametrize("form", FORMS)
def test_the_form_is_the_one_asked_for_after_a_start_in_mid_training_too(form):
    lr = train(both(7, 2)[form], [activations(5, 7, seed=2 * k) for k in range(3)])
    for begin in (lambda: lr.start_(activations(9, 7, seed=9)), lambda: lr.set_(torch.eye(7), torch.zeros(7))):
        begin()
        train(lr, [activations(5, 7, seed=10)])
        assert type(lr.matrix) is FORMS[form]


@pytest.mark.parametrize("failures", [0, 2])
@pytest.mark.parametrize("as_written", [False, True])
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_factored_layer_never_makes_a_tensor_of_more_than_some_rows_of_its_width(projection, as_written, failures):
    lr = LowRank(WIDTH, 3, projection=projection, as_written=as_written, members=2, cut_every=3, form="factored")
    batches = [activations(4, WIDTH, seed=2 * k, dtype=torch.float32).requires_grad_() for k in range(7)]

    def act():
        for a in batches:
            with spoiled(failures):
                sum(lr(a)).backward()
                lr.step()
        lr.project_()

    assert WIDTH < largest_tensor(act) <= 80 * WIDTH
    assert lr.steps == 7


def test_only_a_look_at_w_and_the_dense_form_make_a_matrix_of_the_width():
    a = activations(4, WIDTH, dtype=torch.float32)
    assert largest_tensor(lambda: train(LowRank(WIDTH, 3, form="dense"), [a])) == WIDTH**2
    lr = train(LowRank(WIDTH, 3, form="factored"), [a])
    assert largest_tensor(lambda: lr.W) == WIDTH**2


# gradient


@pytest.mark.parametrize("n", [1, 3, 9])
@pytest.mark.parametrize("steps", [1, 3, 6])
def test_the_gradient_of_the_factored_projection_loss_is_that_of_finite_differences(n, steps):
    lr = train(both(7, 2, cut_every=4)["factored"], [activations(5, 7, seed=2 * k) for k in range(steps)]).eval()
    a = (0.1 * activations(n, 7, seed=99)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: lr(x).projection, [a])
    assert torch.autograd.gradcheck(lambda x: (0.1 * lr(x).projection + lr(x).norm).exp(), [a])


@pytest.mark.parametrize("form", FORMS)
def test_activations_without_a_gradient_have_losses_without_one(form):
    lr, a = both(30, 3)[form], activations(4, 30)
    assert not lr(a).projection.requires_grad
    with torch.no_grad():
        assert not lr(a.clone().requires_grad_()).projection.requires_grad


# decompositions that fail


# The shift makes the zero eigenvalues of a sampled block equal and not zero; which of them are taken is then chance.
# There is nothing to choose where all are taken, and no zero where W has its full rank.


@settings(max_examples=30, deadline=None)
@given(kinds(square=True), st.integers(1, 4), st.lists(st.integers(1, 12), min_size=2, max_size=12), seeds)
def test_both_forms_are_alike_when_the_first_decompositions_of_each_step_fail(kind, failures, sizes, seed):
    batches = [activations(n, kind["features"], seed=seed + 2 * k) for k, n in enumerate(sizes)]
    assert_alike_at_every_step(kind, batches, failures=failures)


@settings(max_examples=25, deadline=None)
@given(kinds(widest=12), st.integers(1, 4), st.lists(st.integers(1, 6), min_size=2, max_size=12), seeds)
def test_both_forms_are_alike_when_decompositions_of_a_w_of_full_rank_fail(kind, failures, more, seed):
    batches = [activations(kind["features"] + n, kind["features"], seed=seed + 2 * k) for k, n in enumerate(more)]
    assert_alike_at_every_step(kind, batches, failures=failures)


@pytest.mark.parametrize("failures", [1, 3])
@pytest.mark.parametrize("as_written", [False, True])
def test_a_factored_cut_that_fails_k_times_is_that_of_w_with_k_hundredths_on_its_diagonal(as_written, failures):
    U = gaussian(24, 9) / 5
    W, b, index = U @ U.T, torch.zeros(24), torch.randperm(24, generator=seeded())[:8]
    lr, plain = (LowRank(24, 4, projection="nystrom", as_written=as_written, form="factored").double() for _ in "ab")
    for one in (lr, plain):
        one.set_(W, b)(activations(3, 24))
    C = (W + failures * 0.01 * torch.eye(24))[:, index]
    inverse = np.linalg.pinv(truncation(C[index], 4).numpy(), rcond=1e-12)
    with spoiled(failures) as attempts:
        lr.project_()
    assert len(attempts) == failures + 1
    assert_alike(lr.W, C @ torch.from_numpy(inverse) @ C.T)
    assert (lr.W - plain.project_().W).abs().max() > 1e-3
    assert_gram_is_that_of_the_rows(lr)


@pytest.mark.parametrize("failures", [0, 1])
@pytest.mark.parametrize("members", [1, 3])
def test_both_forms_leave_out_the_same_pairs_of_an_indefinite_matrix(members, failures):
    left_out = 0
    for seed in range(60):
        layers = both(10, 4, columns=4, members=members, seed=seed, smoothing=0.5, as_written=True, cut_every=1)
        for lr in layers.values():
            lr.set_(symmetric(10, seed=seed) + 0.4 * torch.eye(10), torch.zeros(10))(activations(3, 10, seed=seed))
            with spoiled(failures):
                lr.step()
        left_out += 4 * members - len(layers["factored"].matrix.V)
        assert_alike(layers["factored"].W, layers["dense"].W, 1e-7)
    assert 60 < left_out < 60 * 3 * members


def test_a_shift_that_makes_w_definite_leaves_no_pair_out():
    layers = both(10, 4, columns=4, projection="nystrom", smoothing=40.0, cut_every=1)
    for lr in layers.values():
        lr.set_(symmetric(10), torch.zeros(10))(activations(3, 10))
        with spoiled(1):
            lr.step()
    assert len(layers["factored"].matrix.V) == 4
    assert_alike(layers["factored"].W, layers["dense"].W)


# what comes between a forward pass and a step


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_cut_between_forward_and_step_leaves_both_forms_alike(projection):
    layers = both(30, 3, projection=projection, cut_every=NEVER)
    for lr in layers.values():
        train(lr, [activations(4, 30, seed=2 * k) for k in range(3)])
        lr(activations(4, 30, seed=50))
        lr.project_().step()
        assert lr.steps == 4
    assert_alike(state(layers["factored"]), state(layers["dense"]))
    assert_gram_is_that_of_the_rows(layers["factored"])
    a = activations(5, 30, seed=60)
    assert_alike(passed(layers["factored"], a), passed(layers["dense"], a))


@pytest.mark.parametrize("form", FORMS)
def test_of_two_forward_passes_before_a_step_the_second_one_counts(form):
    twice = train(both(30, 3)[form], [activations(4, 30)])
    once = copy.deepcopy(twice)
    twice(activations(6, 30, seed=2))
    for lr in (twice, once):
        train(lr, [activations(4, 30, seed=4)])
    assert_alike(state(twice), state(once), 0)


@pytest.mark.parametrize("form", FORMS)
def test_a_pass_in_eval_mode_between_forward_and_step_is_no_matter(form):
    looked = train(both(30, 3)[form], [activations(4, 30)])
    plain = copy.deepcopy(looked)
    for lr in (looked, plain):
        lr(activations(4, 30, seed=2))
    looked.eval()(activations(9, 30, seed=4))
    looked.train().step()
    plain.step()
    assert_alike(state(looked), state(plain), 0)


# state


def stored(lr):
    """What comes back of the state when it went through a file."""
    file = io.BytesIO()
    torch.save(lr.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_from_before_load_state_dict_is_not_stepped_on(form):
    lr = train(both(30, 3)[form], [activations(4, 30)])
    kept = stored(lr)
    train(lr, [activations(4, 30, seed=2)])
    lr(activations(4, 30, seed=4))
    lr.load_state_dict(kept)
    before = copy.deepcopy(state(lr))
    lr.step()
    assert lr.steps == 1
    assert_alike(state(lr), before, 0)


@pytest.mark.parametrize("stop", [0, 1, 4, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("form", FORMS)
def test_a_layer_that_goes_on_from_a_file_goes_where_the_uninterrupted_one_goes(form, projection, dtype, stop):
    first, second = (LowRank(50, 3, form=form, projection=projection, cut_every=4).to(dtype) for _ in range(2))
    batches = [activations(4 + k % 3, 50, seed=2 * k, dtype=dtype) for k in range(11)]
    second.load_state_dict(stored(train(first, batches[:stop])))
    assert second.steps == stop and second.started == first.started and type(second.matrix) is type(first.matrix)
    for lr in (first, second):
        train(lr, batches[stop:])
    assert torch.equal(first.W, second.W) and torch.equal(first.b, second.b)
    assert isinstance(second.matrix, FORMS[form])


def test_a_stored_state_has_no_room_for_more_rows_and_shares_no_memory_with_the_layer():
    lr = train(both(30, 3)["factored"], [activations(4, 30)])
    matrix = lr.state_dict()["_extra_state"]["matrix"]
    assert {name: tuple(value.shape) for name, value in matrix.items()} == {"V": (7, 30), "K": (7, 7), "gram": (7, 7)}
    before = copy.deepcopy(matrix)
    train(lr, [activations(4, 30, seed=2 * k) for k in range(12)])
    assert_alike(matrix, before, 0)
    assert all(value.untyped_storage().nbytes() == value.nbytes for value in matrix.values())


@pytest.mark.parametrize("form", FORMS)
def test_a_change_of_precision_or_device_moves_all_of_a_layer(form):
    lr = train(LowRank(30, 3, form=form), [activations(4, 30, dtype=torch.float32)])
    W = lr.W.double()
    assert [t.dtype for t in lr.double().matrix.buffers()] == [torch.float64] * len(list(lr.matrix.buffers()))
    assert lr.b.dtype == torch.float64
    assert_alike(lr.W, W, 1e-6)
    train(lr, [activations(4, 30, seed=2 * k) for k in range(12)])
    assert lr.W.dtype == lr(activations(4, 30)).projection.dtype == torch.float64
    lr.to("meta")
    assert {t.device.type for t in [*lr.buffers(), lr.W, *lr.matrix.content().values()]} == {"meta"}


# form and start


@pytest.mark.parametrize("features, rank, expected", [(4096, 125, Factored), (128, 25, Dense)])
def test_auto_takes_factors_for_a_wide_layer_and_a_matrix_for_a_narrow_one(features, rank, expected):
    lr = LowRank(features, rank)
    lr(activations(128, features, dtype=torch.float32))
    assert isinstance(lr.matrix, expected)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_is_asked_for_is_taken_whatever_the_width(form):
    for features, n in ((300, 2), (5, 40)):
        lr = train(LowRank(features, 2, form=form), [activations(n, features, dtype=torch.float32)])
        assert isinstance(lr.matrix, FORMS[form])


@pytest.mark.parametrize("n, later", [(1, 90), (90, 1)])
def test_the_form_stays_that_of_the_first_step_when_the_batches_change(n, later):
    lr = train(LowRank(100, 2), [activations(n, 100, dtype=torch.float32)])
    form = type(lr.matrix)
    train(lr, [activations(later, 100, seed=k, dtype=torch.float32) for k in range(3)])
    assert type(lr.matrix) is form


@pytest.mark.parametrize(
    "options, message",
    [
        ({"form": "sparse"}, "expected a form among auto, dense, factored, got 'sparse'"),
        ({"start": "middle"}, "expected a start among leading, random, got 'middle'"),
    ],
)
def test_an_unknown_form_or_start_is_answered_with_those_there_are(options, message):
    with pytest.raises(ValueError, match=message):
        LowRank(8, 2, **options)


@pytest.mark.parametrize("form", FORMS)
def test_a_random_start_is_a_projector_of_the_rank_that_the_seed_alone_decides(form):
    starts = []
    for seed, batch in ((0, 0), (0, 2), (1, 0)):
        lr = both(30, 4, start="random", seed=seed)[form]
        a = activations(6, 30, seed=batch)
        lr(a)
        starts.append(lr.W)
        assert_alike(lr.W @ lr.W, lr.W)
        assert lr.W.trace().item() == pytest.approx(4)
        assert_alike(lr.b, -a.mean(0))
    assert torch.equal(starts[0], starts[1]) and (starts[0] - starts[2]).abs().max() > 0.1


@pytest.mark.parametrize("form", FORMS)
def test_a_start_of_ones_own_is_taken_as_it_is(form):
    lr, W, b = both(12, 3)[form], symmetric(12), gaussian(12, seed=1)
    lr.set_(W, b)(activations(3, 12))
    assert isinstance(lr.matrix, FORMS[form])
    assert_alike(lr.W, W)
    assert torch.equal(lr.b, b)


@pytest.mark.parametrize(
    "W, b, message",
    [
        (torch.ones(8, 8).triu(), torch.zeros(8), "expected a symmetric matrix, got one that differs from its transpo"),
        (torch.eye(7), torch.zeros(8), r"expected W and b of width 8, got \(7, 7\) and \(8,\)"),
        (torch.eye(8), torch.zeros(7), r"expected W and b of width 8, got \(8, 8\) and \(7,\)"),
        (torch.eye(8), torch.zeros(8, 1), r"expected W and b of width 8, got \(8, 8\) and \(8, 1\)"),
        (torch.zeros(8, 7), torch.zeros(8), r"expected a square matrix, got shape \(8, 7\)"),
        (torch.full((8, 8), torch.nan), torch.zeros(8), "expected a matrix of finite numbers, got infinities or NaN"),
    ],
)
def test_a_start_that_is_asymmetric_or_of_another_width_is_refused_in_one_sentence(W, b, message):
    lr = LowRank(8, 2)
    with pytest.raises(ValueError, match=message) as refusal:
        lr.set_(W, b)
    assert "\n" not in str(refusal.value)
    assert not lr.started and not lr.W.any() and not lr.b.any()


# the randomized cut


def spectrum(*values):
    """A symmetric matrix with those eigenvalues."""
    Q = torch.linalg.qr(gaussian(len(values), len(values)))[0]
    W = (Q * torch.tensor(values, dtype=torch.float64)) @ Q.T
    return (W + W.T) / 2


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 9), st.integers(0, 3))
def test_a_randomized_cut_whose_block_spans_everything_is_the_exact_one(seed, rank, iterations):
    W = symmetric(9, seed=seed)
    cut = nystrom.randomized(W, rank, columns=9, iterations=iterations, generator=seeded(seed))
    assert_alike(cut, truncation(W, rank), 1e-7)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(0, 4), st.integers(0, 3))
def test_a_randomized_cut_of_an_indefinite_matrix_of_a_rank_within_the_block_is_the_exact_one(
    seed, columns, more, iterations
):
    U, d = gaussian(12, columns, seed=seed), gaussian(columns, seed=seed + 1)
    W = (U * d) @ U.T
    W, rank = (W + W.T) / 2, max(1, columns - 1)
    cut = nystrom.randomized(W, rank, columns=columns + more, iterations=iterations, generator=seeded(seed))
    torch.testing.assert_close(cut, truncation(W, rank), rtol=1e-6, atol=1e-6 * W.abs().max().item())


def test_the_error_of_a_randomized_cut_falls_with_iterations_to_that_of_the_best_approximation():
    W = spectrum(*(0.9**k * (-1) ** k for k in range(40)))
    best = torch.linalg.matrix_norm(W - truncation(W, 5)).item()
    errors = []
    for iterations in (0, 1, 2, 4, 16):
        cuts = [nystrom.randomized(W, 5, columns=8, iterations=iterations, generator=seeded(s)) for s in range(20)]
        each = [torch.linalg.matrix_norm(W - cut).item() for cut in cuts]
        assert min(each) >= best * (1 - 1e-12)
        errors.append(np.mean(each))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1.2 * best and errors[-1] == pytest.approx(best, rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(0, 5))
def test_a_randomized_cut_is_symmetric_of_at_most_its_rank_and_no_larger_than_its_matrix(seed, rank, more):
    W = symmetric(10, seed=seed)
    cut = nystrom.randomized(W, rank, columns=rank + more, generator=seeded(seed))
    assert torch.equal(cut, cut.T)
    assert torch.linalg.matrix_rank(cut, rtol=1e-9) <= rank
    assert torch.linalg.matrix_norm(cut, 2) <= torch.linalg.matrix_norm(W, 2) * (1 + 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_randomized_cut_is_decided_by_its_generator_and_keeps_the_precision(dtype):
    W = symmetric(30).to(dtype)
    cut = [nystrom.randomized(W, 3, columns=6, generator=seeded(seed)) for seed in (1, 1, 2)]
    assert torch.equal(cut[0], cut[1]) and not torch.equal(cut[0], cut[2])
    assert cut[0].dtype == dtype


def test_a_layer_with_a_block_of_its_whole_width_is_cut_exactly():
    exact, randomized = (
        LowRank(20, 3, projection=projection, columns=20, cut_every=3, form="factored").double()
        for projection in ("exact", "randomized")
    )
    batches = [activations(3, 20, seed=2 * k) for k in range(7)]
    assert_alike(state(train(randomized, batches)), state(train(exact, batches)))


@pytest.mark.parametrize(
    "W, rank, options, message",
    [
        (torch.zeros(3, 4), 1, {"columns": 2}, r"a square matrix, got shape \(3, 4\)"),
        (torch.ones(4, 4).triu(), 1, {"columns": 2}, "a symmetric matrix, got one that differs"),
        (torch.full((4, 4), torch.inf), 1, {"columns": 2}, "finite numbers"),
        (torch.eye(4), 0, {"columns": 2}, "1 <= rank <= 4, the width, got rank=0"),
        (torch.eye(4), 1.5, {"columns": 2}, "a whole rank, 1 <= rank <= 4, the width, got rank=1.5"),
        (torch.eye(4), 3, {"columns": 2}, "columns from rank=3 to 4, the width, got columns=2"),
        (torch.eye(4), 1, {"columns": 5}, "columns from rank=1 to 4, the width, got columns=5"),
        (torch.eye(4), 1, {"columns": 2, "iterations": -1}, "iterations >= 0, got iterations=-1"),
    ],
)
def test_a_randomized_cut_with_bad_arguments_is_refused(W, rank, options, message):
    with pytest.raises(ValueError, match=f"expected {message}|expected .*{message}"):
        nystrom.randomized(W, rank, **options)


# The paper's places: the network's width, (features, rank) at each tap, and where what lies behind the tap begins.

PLACES = {
    "resnet18": (8, {"avgpool": (64, 12, ("fc",)), "layer3": (32 * 8 * 8, 62, ("layer4", "fc"))}),
    "resnet50": (4, {"avgpool": (128, 6, ("fc",)), "layer3": (64 * 8 * 8, 31, ("layer4", "fc"))}),
    "vgg19": (8, {"classifier.4": (64, 12, ("classifier.6",)), "avgpool": (64, 12, ("classifier",))}),
}


@pytest.mark.parametrize("arch", PLACES)
def test_layers_at_the_papers_places_train_with_the_network_and_reach_all_before_them(arch):
    width, places = PLACES[arch]
    torch.manual_seed(0)
    network = models.build(arch, classes=10, width=width)
    features = models.widths(network, models.taps(arch, "2-LR"), channels=3, size=32)
    layers = {tap: LowRank(m, models.target_rank(arch, tap, m)) for tap, m in features.items()}
    assert {tap: (lr.features, lr.rank) for tap, lr in layers.items()} == {t: p[:2] for t, p in places.items()}

    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    before = copy.deepcopy(list(network.parameters()))
    with attach(network, layers, lambda_c=0.3, lambda_n=0.03) as lr:
        loss = F.cross_entropy(network(torch.rand(6, 3, 32, 32, generator=seeded())), torch.arange(6)) + lr.loss()
        loss.backward()
        optimizer.step()
        lr.step()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p).all() for p in network.parameters())
        assert any(not torch.equal(p, old) for p, old in zip(network.parameters(), before, strict=True))
        assert all(layer.steps == 1 and torch.isfinite(layer.b).all() for layer in layers.values())

        network(torch.rand(6, 3, 32, 32, generator=seeded(1)))
        for tap, (_, _, behind) in places.items():
            for one in lr.losses[tap]:
                assert one > 0
                gradients = torch.autograd.grad(one, network.parameters(), retain_graph=True, allow_unused=True)
                for (name, _), gradient in zip(network.named_parameters(), gradients, strict=True):
                    assert (gradient is None) == name.startswith(behind), (tap, name)
                first = gradients[0]
                assert torch.isfinite(first).all() and first.any()
