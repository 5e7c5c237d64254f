"""The hybrid max-margin model as one network, so that it can be attacked from end to end."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from torch import Tensor, nn

from lrlib.metrics.taps import _module


def as_linear(classifier: Pipeline) -> nn.Linear:
    """Scaling, PCA and classifier of a fitted max-margin model as the one linear map that they are together.

    Args:
        classifier: From :func:`lrlib.metrics.fit_max_margin`.

    Returns:
        A layer from representations ``(n, m)`` to the margins ``(n, classes)``, float32; of two classes, for which
        scikit-learn has one margin, half of it with either sign.

    Raises:
        ValueError: If the classes are not 0, 1, 2 and so on, which the columns could not be told by.
    """
    scale, classify = classifier.named_steps["scale"], classifier.named_steps["classify"]
    classes = list(classify.classes_)
    if classes != list(range(len(classes))):
        raise ValueError(f"expected a classifier of the classes 0 to {len(classes) - 1}, got {classes}")
    weight, bias = classify.coef_.astype(np.float64), classify.intercept_.astype(np.float64)
    if "pca" in classifier.named_steps:
        pca = classifier.named_steps["pca"]
        weight = weight @ pca.components_
        bias = bias - weight @ pca.mean_
    weight = weight / scale.scale_
    bias = bias - weight @ scale.mean_
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer


class Hybrid(nn.Module):
    """A network up to a tap, and a max-margin model on what comes out there (Sanyal et al., section 3.3).

    Args:
        model: The network, shared and not copied; what it does behind the tap is computed and thrown away.
        tap: Dotted name of a module that runs once in a forward pass.
        classifier: From :func:`lrlib.metrics.fit_max_margin`, fitted to the representations there.

    Raises:
        ValueError: If there is no such tap, or :func:`as_linear` refuses the classifier.
    """

    def __init__(self, model: nn.Module, tap: str, classifier: Pipeline) -> None:
        super().__init__()
        _module(model, tap)
        self.model, self.tap = model, tap
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self.linear = as_linear(classifier).to(device)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, ...)`` to margins ``(n, classes)``, with gradients into the images."""
        seen: list[Tensor] = []
        # A copy, because a later in-place operation may overwrite the tensor.
        keep = self.model.get_submodule(self.tap).register_forward_hook(lambda _m, _a, out: seen.append(out.clone()))
        try:
            self.model(x)
        finally:
            keep.remove()
        margins: Tensor = self.linear(seen[-1].flatten(1))
        return margins
