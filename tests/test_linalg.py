"""Spectra against dense SVD, closed forms, and what a rotation, a scale or another split must not change."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrlib.linalg import row_norms, singular_values, stable_rank, variance_ratio, variance_ratios

shapes = st.tuples(st.integers(2, 12), st.integers(2, 12))
seeds = st.integers(0, 2**31)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def gaussian(n, m, seed=0):
    return torch.randn(n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same_spectrum(s, expected):
    """Compare energies: the Gram route keeps those to rounding, but small singular values only to its square root."""
    torch.testing.assert_close(s.square(), expected.square(), rtol=1e-9, atol=1e-13 * expected[0].item() ** 2)


def rotation(m, seed):
    return torch.linalg.qr(gaussian(m, m, seed)).Q


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("shape", [(30, 7), (7, 30), (9, 9), (1, 5), (5, 1), (5000, 3)])
def test_singular_values_are_those_of_a_dense_svd(shape, centred, device):
    A = (gaussian(*shape) + 3).to(device)
    expected = torch.linalg.svdvals(A - A.mean(0) if centred else A)
    s = singular_values(A, centred=centred)
    assert_same_spectrum(s, expected)
    assert s.device == A.device


@settings(max_examples=40, deadline=None)
@given(shapes, seeds, st.lists(st.integers(1, 11), max_size=4), st.booleans())
def test_streaming_equals_one_shot_in_any_split(shape, seed, cuts, centred):
    A = gaussian(*shape, seed) + 1
    edges = [0, *sorted({cut for cut in cuts if cut < len(A)}), len(A)]
    batches = (A[start:stop] for start, stop in pairwise(edges))
    assert_same_spectrum(singular_values(batches, centred=centred), singular_values(A, centred=centred))


def test_centring_survives_a_mean_a_million_times_the_spread():
    A = gaussian(50, 4)
    batches = (A + 1e6).split(7)
    torch.testing.assert_close(
        singular_values(batches, centred=True), torch.linalg.svdvals(A - A.mean(0)), rtol=1e-7, atol=0
    )


def test_zero_directions_are_zero_down_to_the_floor_the_docstring_states():
    A = gaussian(40, 3) @ gaussian(3, 20)
    s = singular_values(A)
    assert (s[3:] <= 1e-7 * s[0]).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
def test_sums_are_made_in_float64_whatever_the_type(dtype):
    A = gaussian(60, 5).mul(4).to(dtype)
    s = singular_values(A)
    assert s.dtype is torch.float64
    assert_same_spectrum(s, torch.linalg.svdvals(A.double()))


def test_no_gradient_is_recorded_and_the_input_is_not_changed():
    A = gaussian(4, 3).requires_grad_()
    before = A.detach().clone()
    assert not variance_ratio(A, 1, centred=True).requires_grad
    torch.testing.assert_close(A.detach(), before, rtol=0, atol=0)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_variance_ratio_of_a_diagonal_matrix_is_its_share_of_squares(k):
    d = torch.tensor([1.0, 4.0, 2.0])
    expected = sum(sorted([1, 16, 4])[-k:]) / 21
    assert variance_ratio(torch.diag(d), k).item() == pytest.approx(expected, abs=1e-12)


def test_variance_ratio_of_uncentred_features_counts_the_mean_as_a_direction():
    A = 100 + gaussian(200, 6)
    assert variance_ratio(A, 1) > 0.999
    assert variance_ratio(A, 1, centred=True) < 0.5


def test_variance_ratio_takes_a_stream():
    A = gaussian(20, 5)
    assert variance_ratio(A.split(3), 2).item() == pytest.approx(variance_ratio(A, 2).item(), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(shapes, seeds, st.floats(1e-3, 1e3))
def test_variance_ratio_and_stable_rank_ignore_rotation_and_scale(shape, seed, scale):
    n, m = shape
    A = gaussian(n, m, seed)
    B = scale * rotation(n, seed + 1) @ A @ rotation(m, seed + 2)
    torch.testing.assert_close(stable_rank(B), stable_rank(A), rtol=1e-9, atol=0)
    torch.testing.assert_close(variance_ratio(B, 2), variance_ratio(A, 2), rtol=1e-9, atol=0)


@settings(max_examples=40, deadline=None)
@given(shapes, seeds)
def test_variance_ratios_climb_to_exactly_one_and_the_first_inverts_the_stable_rank(shape, seed):
    A = gaussian(*shape, seed)
    ratios = variance_ratios(singular_values(A))
    assert (ratios.diff() >= 0).all() and ratios[0] > 0 and ratios[-1] == 1
    assert [variance_ratio(A, k).item() for k in range(1, min(shape) + 1)] == ratios.tolist()
    assert (1 / ratios[0]).item() == pytest.approx(stable_rank(A).item())


@settings(max_examples=40, deadline=None)
@given(shapes, seeds)
def test_stable_rank_is_squared_frobenius_over_squared_spectral_norm(shape, seed):
    A = gaussian(*shape, seed)
    expected = torch.linalg.matrix_norm(A).square() / torch.linalg.matrix_norm(A, 2).square()
    assert stable_rank(A).item() == pytest.approx(expected.item())


def test_stable_rank_of_the_identity_is_its_size_and_of_an_outer_product_one():
    assert stable_rank(torch.eye(7)).item() == pytest.approx(7)
    assert stable_rank(torch.outer(torch.arange(1.0, 5), torch.arange(2.0, 9))).item() == pytest.approx(1)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_variance_ratios_neither_under_nor_overflow(size):
    ratios = variance_ratios(torch.tensor([2.0, 1.0], dtype=torch.float64) * size)
    torch.testing.assert_close(ratios, torch.tensor([0.8, 1.0], dtype=torch.float64))


def test_row_norms_are_those_of_the_flattened_rows():
    x = gaussian(4, 24).reshape(4, 2, 3, 4)
    torch.testing.assert_close(row_norms(x), x.flatten(1).square().sum(1).sqrt())
    torch.testing.assert_close(row_norms(torch.tensor([-2.0, 3.0])), torch.tensor([2.0, 3.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.ones(3), r"expected a non-empty matrix \(n, m\) of features, got shape \(3,\)"),
        (torch.ones(2, 3, 4), r"got shape \(2, 3, 4\)"),
        (torch.ones(0, 4), r"got shape \(0, 4\)"),
        (torch.ones(4, 0), r"got shape \(4, 0\)"),
        ([], "expected at least one batch of features"),
        ([torch.ones(2, 3), torch.ones(2, 4)], "expected batches of one width, got 3 and then 4"),
        (torch.tensor([[1.0, float("nan"), float("inf")]]), "got 2 values of 3 that are NaN or infinite"),
        ([torch.ones(2, 2), torch.full((1, 2), float("inf"))], "got 2 values of 2 that are NaN or infinite"),
    ],
)
def test_features_without_a_spectrum_are_refused(features, message):
    with pytest.raises(ValueError, match=message):
        singular_values(features)


@pytest.mark.parametrize("k", [0, -1, 4, 1.5])
def test_a_number_of_directions_outside_the_matrix_is_refused(k):
    with pytest.raises(ValueError, match=rf"1 <= k <= 3, .* got k={k}"):
        variance_ratio(torch.ones(5, 3), k)


@pytest.mark.parametrize("centred", [False, True])
def test_a_ratio_of_nothing_to_nothing_is_refused(centred):
    with pytest.raises(ValueError, match="not all zero"):
        variance_ratio(torch.full((3, 2), float(centred)), 1, centred=centred)


@pytest.mark.parametrize("s", [[1.0, 2.0], [1.0, -1.0], [float("nan")], [float("inf"), 1.0]])
def test_numbers_that_are_no_spectrum_are_refused(s):
    with pytest.raises(ValueError, match="descending and not negative"):
        variance_ratios(torch.tensor(s))


@pytest.mark.parametrize("shape", [(0,), (2, 2)])
def test_a_spectrum_that_is_no_vector_is_refused(shape):
    with pytest.raises(ValueError, match="non-empty vector"):
        variance_ratios(torch.ones(shape))
