"""The layers that a method prunes or normalises."""

from torch import nn


def weighted(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """The convolutions and linear layers by name; batch normalisations are left as they are."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
