"""Hybrid max-margin models: a linear classifier on compressed representations of a trained network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor


def max_margin(*, dim: int | None = None, seed: int = 0) -> Pipeline:
    r"""Scaling, PCA and a linear max-margin classifier, unfitted (Sanyal et al., section 3.3 and appendix C).

    The classifier is trained by SGD with hinge loss, :math:`L_2` coefficient 0.01 and the step
    :math:`\eta_0 / (1 + \alpha t)`, which is scikit-learn's ``learning_rate="optimal"``.

    Args:
        dim: Number of principal components; ``None`` leaves PCA out.
        seed: Of the order of the examples in SGD, and of PCA where it is randomised.

    Returns:
        A scikit-learn pipeline.

    Example:
        >>> list(max_margin(dim=5).named_steps)
        ['scale', 'pca', 'classify']
    """
    classify = SGDClassifier(loss="hinge", penalty="l2", alpha=0.01, learning_rate="optimal", random_state=seed)
    pca = [] if dim is None else [("pca", PCA(dim, random_state=seed))]
    return Pipeline([("scale", StandardScaler()), *pca, ("classify", classify)])


def fit_max_margin(features: Tensor, y: Tensor, *, dim: int | None = None, seed: int = 0) -> Pipeline:
    """Fit :func:`max_margin` to the representations of a training set.

    Args:
        features: Activation matrix ``(n, m)``.
        y: Integer labels ``(n,)``.
        dim: Number of principal components, at most ``min(n, m)``; ``None`` leaves PCA out.
        seed: As for :func:`max_margin`.

    Returns:
        The fitted pipeline; :func:`max_margin_predictions` applies it.

    Raises:
        ValueError: If the features are not a finite matrix with an integer label per row, there are fewer than two
            classes, or ``dim`` is out of range.
    """
    _check(features, y)
    if len(classes := set(y.tolist())) < 2:
        raise ValueError(f"expected training labels of at least two classes, got only {classes}")
    if dim is not None and not 1 <= dim <= min(features.shape):
        raise ValueError(
            f"expected 1 <= dim <= {min(features.shape)} for features of shape {tuple(features.shape)}, got dim={dim}"
        )
    return max_margin(dim=dim, seed=seed).fit(_array(features), y.cpu().numpy())


def max_margin_predictions(classifier: Pipeline, features: Tensor) -> Tensor:
    """Classes that a fitted max-margin model gives to representations, clean or attacked.

    Args:
        classifier: From :func:`fit_max_margin`.
        features: Activation matrix ``(n, m)``, as wide as the one it was fitted to.

    Returns:
        int64 ``(n,)``, on the device of ``features``.

    Raises:
        ValueError: If the features are not a finite matrix of that width.
    """
    _check(features)
    if features.shape[1] != classifier.n_features_in_:
        raise ValueError(f"expected features of width {classifier.n_features_in_}, got {features.shape[1]}")
    return torch.as_tensor(classifier.predict(_array(features)), dtype=torch.int64, device=features.device)


def max_margin_accuracy(
    train_features: Tensor,
    y_train: Tensor,
    test_features: Tensor,
    y_test: Tensor,
    *,
    dim: int | None = None,
    seed: int = 0,
) -> float:
    """Accuracy of a max-margin model on ``dim`` principal components (Sanyal et al., tables 5 and 8).

    Scaling, components and classifier are all fitted to the training set alone.

    Args:
        train_features: Activation matrix ``(n, m)`` of the training set.
        y_train: Integer labels ``(n,)``.
        test_features: Activation matrix ``(k, m)`` of the test set.
        y_test: Labels ``(k,)``, all of classes that occur in ``y_train``.
        dim: Number of principal components, at most ``min(n, m)``; ``None`` leaves PCA out.
        seed: As for :func:`max_margin`.

    Returns:
        Fraction in ``[0, 1]``.

    Raises:
        ValueError: If a test class is absent from training, or fitting or predicting refuses its input.

    Example:
        >>> a, y = torch.tensor([[-1.0, 0.0], [-2.0, 1.0], [1.0, 0.0], [2.0, 1.0]]), torch.tensor([0, 0, 1, 1])
        >>> max_margin_accuracy(a, y, 2 * a, y)
        1.0
    """
    _check(train_features, y_train)
    _check(test_features, y_test)
    if absent := sorted(set(y_test.tolist()) - set(y_train.tolist())):
        raise ValueError(f"expected every test class in the training labels, got {absent} in the test labels only")
    classifier = fit_max_margin(train_features, y_train, dim=dim, seed=seed)
    predicted = max_margin_predictions(classifier, test_features)
    return int((predicted == y_test.to(predicted.device)).sum()) / len(y_test)


def _check(features: Tensor, y: Tensor | None = None) -> None:
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"expected a non-empty matrix (n, m) of features, got shape {tuple(features.shape)}")
    if y is not None and y.shape != features.shape[:1]:
        raise ValueError(f"expected {len(features)} labels, one per row of the features, got shape {tuple(y.shape)}")
    if y is not None and (y.is_floating_point() or y.is_complex()):
        raise ValueError(f"expected integer labels, got {y.dtype}")
    if not features.isfinite().all():
        raise ValueError("expected finite features, got NaN or infinite values")


def _array(features: Tensor) -> npt.NDArray[np.floating]:
    features = features.detach().cpu()
    return (features if features.dtype is torch.float64 else features.float()).numpy()
