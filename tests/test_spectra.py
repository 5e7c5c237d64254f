"""Accumulated spectra against dense SVD: exact by the Gram matrix, within the stated bound by the sketch."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrlib import spectra
from lrlib.spectra import Gram, Sketch, Spectrum, accumulator


def matrix(n, m, *, decay=1.0, seed=0):
    """Singular values that fall like a power, in random directions."""
    generator = torch.Generator().manual_seed(seed)
    U, V = (torch.linalg.qr(torch.randn(k, min(n, m), generator=generator, dtype=torch.float64)).Q for k in (n, m))
    s = torch.arange(1, min(n, m) + 1, dtype=torch.float64) ** -decay
    return U * s @ V.T, s


def seen(accumulated, A, size=7):
    for batch in A.split(size):
        accumulated.add(batch)
    return accumulated


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31))
def test_the_gram_matrix_has_the_spectrum_of_a_dense_svd_in_any_split(n, m, size, seed):
    A = torch.randn(n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = seen(Gram(m), A, size).spectrum()
    expected = torch.linalg.svdvals(A)
    torch.testing.assert_close(found.values.square(), expected.square(), rtol=1e-9, atol=1e-13 * expected[0] ** 2)
    assert found.energy == pytest.approx(A.square().sum().item()) and found.columns is None
    assert (found.errors() == 0).all() and found.ratios()[-1].item() == pytest.approx(1)


@pytest.mark.parametrize("m", [16, 17, 33, 48, 70])
def test_a_gram_matrix_of_several_blocks_has_the_same_spectrum_also_when_it_grows_after_a_look(m, monkeypatch):
    monkeypatch.setattr(spectra, "_BLOCK", 16)
    A, s = matrix(90, m, decay=0.5)
    gram = seen(Gram(m), A[:50])
    assert gram.leading()[0] == pytest.approx(
        (torch.linalg.matrix_norm(A[:50], 2) / torch.linalg.matrix_norm(A[:50])).square().item(), rel=1e-9
    )
    torch.testing.assert_close(seen(gram, A[50:]).spectrum().values, s, rtol=1e-9, atol=0)


def test_streamed_fp32_agrees_with_svdvals_down_to_a_thousandth_of_the_largest():
    A, s = matrix(800, 700, decay=1.05)
    found, peer = seen(Gram(700), A.float(), 128).spectrum().values, torch.linalg.svdvals(A.float())
    shown = s >= 1e-3 * s[0]
    torch.testing.assert_close(found[shown], s[shown], rtol=1e-4, atol=0)
    torch.testing.assert_close(found[shown].float(), peer[shown], rtol=1e-4, atol=0)


@pytest.mark.parametrize("kind", [Gram, lambda m: Sketch(m, 30)])
def test_what_classes_add_up_to_is_the_whole(kind):
    A, _ = matrix(60, 40)
    whole, parts = seen(kind(40), A), [seen(kind(40), part) for part in A.split(20)]
    total = parts[0]
    for part in parts[1:]:
        total += part
    torch.testing.assert_close(total.spectrum().values, whole.spectrum().values, rtol=1e-6, atol=1e-9)
    assert total.rows == 60


@pytest.mark.parametrize("m", [5, 33, 64, 600])
def test_the_leading_share_is_the_inverse_stable_rank(m):
    A, _ = matrix(m + 80, m, decay=0.5)
    share, error = seen(Gram(m), A).leading()
    expected = torch.linalg.matrix_norm(A, 2).square() / torch.linalg.matrix_norm(A).square()
    assert share == pytest.approx(expected.item(), rel=1e-9) and error == 0


@pytest.mark.parametrize("decay", [0.2, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("columns", [10, 40, 120])
def test_a_sketchs_ratios_are_never_too_large_and_too_small_by_no_more_than_it_says(decay, columns):
    """For twenty draws of the random directions; the bound may fail in less than one of 25,000."""
    A, s = matrix(300, 150, decay=decay)
    exact = s.square().cumsum(0) / s.square().sum()
    for seed in range(20):
        found = seen(Sketch(150, columns, seed=seed), A, 64).spectrum()
        ratios, errors = found.ratios(), found.errors()
        gap = exact[: len(ratios)] - ratios
        assert (gap >= -1e-9).all() and (gap <= errors + 1e-9).all()
        assert found.columns == columns and found.energy == pytest.approx(s.square().sum().item())


def test_the_bound_is_far_below_the_energy_that_the_sketch_does_not_see():
    A, s = matrix(1500, 1000, decay=0.5)
    found = seen(Sketch(1000, 150), A, 500).spectrum()
    unseen = 1 - found.ratios()[-1]
    assert found.errors()[0] < unseen / 4
    assert s.square().cumsum(0)[0] / s.square().sum() - found.ratios()[0] <= found.errors()[0]


@pytest.mark.parametrize("rank", [1, 3, 20])
def test_a_sketch_wider_than_the_rank_is_exact(rank):
    A = matrix(90, rank)[0] @ matrix(rank, 70, seed=1)[0]
    found = seen(Sketch(70, 30), A).spectrum()
    torch.testing.assert_close(found.values[:rank], torch.linalg.svdvals(A)[:rank], rtol=1e-6, atol=0)
    assert found.errors().max() < 1e-8 and found.ratios()[rank - 1].item() == pytest.approx(1)


def test_fewer_rows_than_columns_have_no_more_values_than_rows():
    A, _ = matrix(6, 50)
    assert len(seen(Sketch(50, 30), A).spectrum().values) <= 6 and len(seen(Gram(50), A).spectrum().values) == 6


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_ratios_ignore_rotation_and_scale(seed, scale):
    A, _ = matrix(30, 20, seed=seed)
    Q = torch.linalg.qr(torch.randn(20, 20, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)).Q
    before, after = (seen(Gram(20), B).spectrum() for B in (A, scale * A @ Q))
    torch.testing.assert_close(after.ratios(), before.ratios())
    assert before.directions(0.99) == after.directions(0.99)


def test_directions_are_the_fewest_that_may_reach_the_share():
    s = torch.tensor([3.0, 2.0, 1.0, 1.0], dtype=torch.float64)  # 9, 13, 14, 15 of 15
    assert [Spectrum(s, 15.0).directions(share) for share in (0.5, 9 / 15, 0.61, 0.99, 1.0)] == [1, 1, 2, 4, 4]
    sketched = Spectrum(s[:2], 15.0, missed=15.0, columns=2)  # off by no more than what is unseen, 2 of 15
    assert sketched.errors().tolist() == pytest.approx([2 / 15, 2 / 15])
    assert sketched.directions(0.7) == 1 and sketched.directions(0.99) == 2


def test_chernoffs_bound_keeps_what_the_docstring_states():
    """The least mean of 32 squared normals that doubling the root mean square allows, at the worst spectrum."""
    assert (0.25 * math.exp(0.75)) ** (spectra._PROBES / 2) < 4e-5


def test_wide_representations_are_sketched_and_others_are_not(monkeypatch):
    assert isinstance(accumulator(512), Gram)
    monkeypatch.setattr(spectra, "WIDEST_EXACT", 100)
    monkeypatch.setattr(spectra, "_SKETCH_NUMBERS", 4_040)
    assert isinstance(accumulator(100), Gram)
    wide = accumulator(101)
    assert isinstance(wide, Sketch) and wide.columns == 40
    A, s = matrix(200, 101, decay=1.5)
    share, error = seen(wide, A).leading()
    exact = (s[0] ** 2 / s.square().sum()).item()
    assert share <= exact <= share + error


def test_half_a_gigabyte_is_what_each_matrix_of_the_papers_taps_takes():
    """16,384 activations of ResNet-18 and 65,536 of ResNet-50 before the fourth block; four of them are kept."""
    assert 8 * spectra.WIDEST_EXACT**2 <= 2**29
    for width in (16_384, 65_536):
        assert 8 * width * (spectra._SKETCH_NUMBERS // width) <= 2**29


@pytest.mark.parametrize("kind", [Gram, lambda m: Sketch(m, 2)])
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.ones(4), r"expected a non-empty matrix \(n, m\) of features, got shape \(4,\)"),
        (torch.ones(0, 4), r"got shape \(0, 4\)"),
        (torch.ones(2, 5), "expected batches of one width, got 4 and then 5"),
        (torch.full((1, 4), float("nan")), "got 4 values of 4 that are NaN or infinite"),
    ],
)
def test_what_has_no_spectrum_is_refused_in_a_sentence(kind, batch, message):
    with pytest.raises(ValueError, match=message):
        kind(4).add(batch)
    with pytest.raises(ValueError, match="expected at least one batch of features, got none"):
        kind(4).spectrum()


def test_zeros_have_no_ratio_and_a_sketch_has_a_column():
    with pytest.raises(ValueError, match="expected features that are not all zero"):
        seen(Gram(40), torch.zeros(3, 40)).leading()
    with pytest.raises(ValueError, match="expected features that are not all zero"):
        seen(Sketch(40, 3), torch.zeros(3, 40)).spectrum()
    with pytest.raises(ValueError, match="expected at least one column of a sketch, got 0"):
        Sketch(40, 0)
