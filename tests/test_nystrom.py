"""Rank projections against numpy, the theory's identities, and what their random sample converges to."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrlib import factors, nystrom

seeds = st.integers(0, 2**31)
eigh = torch.linalg.eigh


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def symmetric(m, *, seed=0):
    a = gaussian(m, m, seed=seed)
    return a + a.T


def definite(m, rank, *, seed=0):
    """Positive semi-definite, of that rank, no two of its eigenvalues alike; any `rank` columns span its range."""
    a = gaussian(m, rank, seed=seed)
    return a @ a.T


def projector(m, rank, *, seed=0):
    q = torch.linalg.qr(gaussian(m, rank, seed=seed))[0]
    return q @ q.T


def numpy_truncation(W, rank):
    u, s, vt = np.linalg.svd(W.numpy())
    return torch.from_numpy((u[:, :rank] * s[:rank]) @ vt[:rank])


def rank_of(W):
    return int(torch.linalg.matrix_rank(W, rtol=1e-9))


def norm(W):
    return torch.linalg.matrix_norm(W, 2).item()


def spoil(monkeypatch, failures):
    """Make the first decompositions fail; returns the matrices that were to be decomposed."""
    seen = []

    def failing(W):
        seen.append(W.clone())
        if len(seen) <= failures:
            raise torch.linalg.LinAlgError("the algorithm failed to converge")
        return eigh(W)

    monkeypatch.setattr(torch.linalg, "eigh", failing)
    return seen


# exact


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 9))
def test_exact_is_the_truncated_singular_value_decomposition_of_an_indefinite_matrix(seed, rank):
    W = symmetric(9, seed=seed)
    torch.testing.assert_close(nystrom.exact(W, rank), numpy_truncation(W, rank))


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 7))
def test_exact_is_at_the_distance_that_eckart_and_young_give_and_nothing_of_that_rank_is_nearer(seed, rank):
    W = symmetric(8, seed=seed)
    distance = torch.linalg.matrix_norm(W - nystrom.exact(W, rank))
    left_out = torch.linalg.eigvalsh(W).abs().sort().values[: 8 - rank]
    torch.testing.assert_close(distance, left_out.square().sum().sqrt())
    other = gaussian(8, rank, seed=seed + 1) @ gaussian(rank, 8, seed=seed + 2)
    assert torch.linalg.matrix_norm(W - other) >= distance


def test_exact_keeps_a_negative_eigenvalue_of_larger_magnitude():
    assert torch.equal(
        nystrom.exact(torch.diag(torch.tensor([1.0, -2.0, 0.5])), 1), torch.diag(torch.tensor([0, -2, 0]))
    )


def test_exact_at_full_rank_is_the_matrix_itself():
    W = symmetric(6)
    torch.testing.assert_close(nystrom.exact(W, 6), W)


# nystrom


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 4), st.integers(0, 6))
def test_nystrom_is_exact_on_a_definite_matrix_whose_range_the_sample_spans(seed, rank, more):
    W = definite(12, rank, seed=seed)
    approximation = nystrom.nystrom(W, rank, columns=rank + more, generator=seeded(seed))
    torch.testing.assert_close(approximation, W, rtol=1e-5, atol=1e-5 * norm(W))


def test_nystrom_of_a_definite_matrix_is_its_formula_with_numpys_pseudo_inverse():
    W, rank, columns = definite(12, 9), 4, 7
    index = torch.randperm(12, generator=seeded(3))[:columns].numpy()
    C = W.numpy()[:, index]
    expected = C @ np.linalg.pinv(numpy_truncation(torch.from_numpy(C[index]), rank).numpy(), rcond=1e-12) @ C.T
    approximation = nystrom.nystrom(W, rank, columns=columns, generator=seeded(3))
    torch.testing.assert_close(approximation, torch.from_numpy(expected))


@pytest.mark.parametrize("project", [nystrom.nystrom, nystrom.ensemble])
@settings(max_examples=40, deadline=None)
@given(seed=seeds, rank=st.integers(1, 5), more=st.integers(0, 5), indefinite=st.booleans())
def test_lemma_1_the_result_is_symmetric_positive_semi_definite_of_rank_at_most_r(
    project, seed, rank, more, indefinite
):
    W = symmetric(10, seed=seed) if indefinite else definite(10, 8, seed=seed)
    members = {"members": 3} if project is nystrom.ensemble else {}
    cut = project(W, rank, columns=rank + more, generator=seeded(seed), **members)
    assert torch.equal(cut, cut.T)
    assert torch.linalg.eigvalsh(cut)[0] >= -1e-10 * max(1, norm(cut))
    assert rank_of(cut) <= rank


def test_the_same_generator_gives_the_same_result_and_another_one_another():
    W = definite(20, 15)
    cut = [nystrom.ensemble(W, 4, columns=8, members=3, generator=seeded(seed)) for seed in (1, 1, 2)]
    assert torch.equal(cut[0], cut[1]) and not torch.equal(cut[0], cut[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_projection_keeps_the_precision_of_its_input(dtype):
    W = definite(8, 8).to(dtype)
    assert nystrom.exact(W, 2).dtype == dtype
    assert nystrom.nystrom(W, 2, columns=4).dtype == dtype
    assert nystrom.ensemble(W, 2, columns=4, members=2).dtype == dtype


@pytest.mark.parametrize("W", [torch.zeros(6, 6), -torch.eye(6)], ids=["zero", "negative"])
def test_the_nystrom_approximation_of_a_matrix_without_positive_eigenvalues_is_zero(W):
    assert torch.equal(nystrom.nystrom(W, 2, columns=4), torch.zeros(6, 6))
    assert torch.equal(nystrom.ensemble(W, 2, columns=4, members=2), torch.zeros(6, 6))


# what an indefinite matrix does


@pytest.mark.parametrize("columns", [6, 7, 12], ids=["r", "r+1", "2r"])
@pytest.mark.parametrize("noise", [0.0, 1e-7, 1e-4, 1e-2, 0.1])
def test_a_projector_disturbed_by_symmetric_noise_is_not_blown_up(noise, columns):
    """Without care a single tiny eigenvalue of the sampled block multiplies the norm a thousandfold."""
    rank, norms = 6, []
    for seed in range(40):
        disturbance = symmetric(32, seed=seed)
        W = projector(32, rank, seed=seed) + noise * disturbance / norm(disturbance)
        norms.append(norm(nystrom.nystrom(W, rank, columns=columns, generator=seeded(seed))))
    assert max(norms) <= 2 * rank * torch.linalg.matrix_norm(W)
    if columns == 2 * rank:
        assert max(norms) < 1.6


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 8))
def test_no_nystrom_approximation_exceeds_twice_the_rank_times_the_norm_of_the_matrix(seed, rank):
    W = symmetric(16, seed=seed)
    cut = nystrom.nystrom(W, rank, columns=8, generator=seeded(seed))
    assert norm(cut) <= 2 * rank * torch.linalg.matrix_norm(W) * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([1e-8, 1.0, 1e8]))
def test_nystrom_scales_with_its_matrix(seed, scale):
    W = definite(10, 7, seed=seed)
    cut = [nystrom.nystrom(c * W, 3, columns=6, generator=seeded(seed)) for c in (1.0, scale)]
    torch.testing.assert_close(cut[1], scale * cut[0], rtol=1e-6, atol=1e-9 * scale * norm(W))


# ensemble


def test_the_uncut_ensemble_is_the_mean_of_draws_from_one_generator():
    W, generator = definite(20, 15), seeded(5)
    draws = [nystrom.nystrom(W, 3, columns=6, generator=generator) for _ in range(4)]
    average = nystrom.ensemble(W, 3, columns=6, members=4, generator=seeded(5), cut=False)
    torch.testing.assert_close(average, torch.stack(draws).mean(0))


def test_the_cut_ensemble_is_the_best_approximation_of_the_uncut_one():
    W = definite(20, 15)
    cut, uncut = (nystrom.ensemble(W, 3, columns=6, members=4, generator=seeded(5), cut=c) for c in (True, False))
    torch.testing.assert_close(cut, numpy_truncation(uncut, 3))


def test_the_average_of_t_members_of_rank_r_has_rank_t_r_unless_it_is_cut():
    W = definite(30, 30)
    uncut = nystrom.ensemble(W, 3, columns=6, members=4, generator=seeded(), cut=False)
    assert rank_of(uncut) == 12
    assert rank_of(nystrom.ensemble(W, 3, columns=6, members=4, generator=seeded())) == 3


def test_more_members_than_the_width_holds_are_no_problem():
    W = definite(6, 6)
    assert rank_of(nystrom.ensemble(W, 3, columns=6, members=4, generator=seeded())) == 3


def test_the_error_of_an_ensemble_falls_to_that_of_the_best_approximation_as_columns_grow():
    W, rank = definite(24, 24), 5
    W = W @ W / norm(W)  # a spectrum that falls off
    best = torch.linalg.matrix_norm(W - nystrom.exact(W, rank)).item()
    errors = []
    for columns in (5, 10, 16, 24):
        draws = [nystrom.ensemble(W, rank, columns=columns, members=3, generator=seeded(s)) for s in range(30)]
        errors.append(np.mean([torch.linalg.matrix_norm(W - draw).item() for draw in draws]))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1.1 * best and errors[-1] == pytest.approx(best, rel=1e-9)


def test_an_ensemble_is_on_average_nearer_than_one_member():
    W = definite(24, 24)
    one, many = (
        np.mean(
            [
                torch.linalg.matrix_norm(W - nystrom.ensemble(W, 5, columns=10, members=t, generator=seeded(s))).item()
                for s in range(30)
            ]
        )
        for t in (1, 8)
    )
    assert many < one


# smoothing


@pytest.mark.parametrize("failures", [1, 3])
def test_a_decomposition_that_fails_k_times_is_that_of_the_matrix_with_k_hundredths_on_its_diagonal(
    monkeypatch, failures
):
    W, shift = definite(12, 9), failures * 0.01
    expected = nystrom.nystrom(W + shift * torch.eye(12), 4, columns=8, generator=seeded())
    seen = spoil(monkeypatch, failures)
    smoothed = nystrom.nystrom(W, 4, columns=8, generator=seeded())
    torch.testing.assert_close(smoothed, expected)
    assert len(seen) == failures + 1
    for attempt, matrix in enumerate(seen):
        torch.testing.assert_close(matrix, seen[0] + attempt * 0.01 * torch.eye(8))


def test_smoothing_leaves_an_exact_truncation_as_it_is(monkeypatch):
    W = symmetric(8)
    expected = numpy_truncation(W, 3)
    spoil(monkeypatch, 2)
    torch.testing.assert_close(nystrom.exact(W, 3), expected)


def test_smoothing_changes_neither_its_input_nor_the_cut_of_an_average(monkeypatch):
    W = definite(12, 9)
    before, uncut = W.clone(), nystrom.ensemble(W, 3, columns=6, members=2, generator=seeded(), cut=False)
    expected = numpy_truncation(uncut, 3)
    calls = []

    def failing_at_the_cut(Z):
        calls.append(Z)
        if len(calls) == 3:
            raise torch.linalg.LinAlgError("the algorithm failed to converge")
        return eigh(Z)

    monkeypatch.setattr(torch.linalg, "eigh", failing_at_the_cut)
    torch.testing.assert_close(nystrom.ensemble(W, 3, columns=6, members=2, generator=seeded()), expected)
    assert torch.equal(W, before)


def test_a_decomposition_that_never_converges_ends_in_one_sentence(monkeypatch):
    spoil(monkeypatch, 10**6)
    with pytest.raises(ValueError, match=r"eigenvalues converge, got one that fails after 100 attempts.*0\.99 added"):
        nystrom.nystrom(definite(6, 6), 2, columns=4)


# factors


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(1, 12))
def test_recompressing_factors_is_the_exact_cut_of_the_dense_matrix(seed, rank, terms):
    given_factors = factors.Factors(gaussian(8, terms, seed=seed), gaussian(terms, seed=seed + 1))
    dense = factors.recompress(given_factors, rank).dense()
    torch.testing.assert_close(dense, numpy_truncation(given_factors.dense(), rank), rtol=1e-6, atol=1e-8)


def test_the_factors_of_the_exact_cut_are_orthonormal_with_the_largest_first():
    U, d = factors.exact(symmetric(8), 5)
    torch.testing.assert_close(U.T @ U, torch.eye(5, dtype=torch.float64))
    assert torch.equal(d.abs(), d.abs().sort(descending=True).values)


# bad input

GOOD = torch.eye(4)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: nystrom.exact(torch.zeros(3, 4), 1), r"a square matrix, got shape \(3, 4\)"),
        (lambda: nystrom.exact(torch.zeros(3), 1), r"a square matrix, got shape \(3,\)"),
        (lambda: nystrom.exact(torch.triu(torch.ones(3, 3)), 1), "a symmetric matrix"),
        (lambda: nystrom.exact(torch.full((3, 3), torch.nan), 1), "finite numbers"),
        (lambda: nystrom.exact(torch.full((3, 3), torch.inf), 1), "finite numbers"),
        (lambda: nystrom.exact(GOOD, 0), "1 <= rank <= 4, the width, got rank=0"),
        (lambda: nystrom.exact(GOOD, 5), "1 <= rank <= 4, the width, got rank=5"),
        (lambda: nystrom.nystrom(GOOD, 3, columns=2), "columns from rank=3 to 4, the width, got columns=2"),
        (lambda: nystrom.nystrom(GOOD, 1, columns=5), "columns from rank=1 to 4, the width, got columns=5"),
        (lambda: nystrom.nystrom(GOOD, 1, columns=0), "got columns=0"),
        (lambda: nystrom.nystrom(GOOD, 1, columns=2, smoothing=0.0), "smoothing > 0, got smoothing=0.0"),
        (lambda: nystrom.ensemble(GOOD, 1, columns=2, members=0), "members >= 1, got members=0"),
        (lambda: nystrom.ensemble(torch.triu(torch.ones(3, 3)), 1, columns=2, members=1), "a symmetric matrix"),
    ],
)
def test_bad_input_is_answered_with_what_was_expected_and_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_matrix_that_is_symmetric_but_for_rounding_is_taken():
    W = definite(8, 8).float()
    W[0, 1] *= 1 + 1e-6
    nystrom.exact(W, 2)
