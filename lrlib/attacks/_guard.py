"""What an attack may do to the model that it attacks: nothing that outlives the attack."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Model = Callable[[Tensor], Tensor]
"""Maps images in [0, 1], ``(n, ...)``, to logits ``(n, classes)``; usually an ``nn.Module``."""


@contextmanager
def undisturbed(model: Model) -> Iterator[None]:
    """Differentiates through ``model`` in evaluation mode and leaves it as it was found, also after an error.

    Inside, gradients are recorded whatever the caller's grad mode, and the parameters ask for none, which spares
    their half of every backward pass. Only an ``nn.Module`` can be guarded so: any other callable is used as it is, and
    a function around a module needs that module in evaluation mode already.

    Args:
        model: The model to guard.

    Yields:
        Nothing.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else []
    training = [module.training for module in modules]
    requires_grad = [parameter.requires_grad for parameter in parameters]
    try:
        # The flags are set one by one, since an overridden train() may do more than a second call can undo.
        for module in modules:
            module.training = False
        for parameter in parameters:
            parameter.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, mode in zip(modules, training, strict=True):
            module.training = mode
        for parameter, flag in zip(parameters, requires_grad, strict=True):
            parameter.requires_grad_(flag)
