"""What attacks cost beside foolbox's: seconds, success and size of the perturbations, on the same network and images.

foolbox is a peer, for comparison alone: the extra ``peers`` installs it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lrlib import attacks, engine, metrics, models, train
from lrlib.runs import Run
from lrlib.sections.protocol import Fast
from lrlib.sections.timing import timed

EPS, STEPS = 4 / 255, 20
FITTED = 60  # steps of a short training, so that answers are neither all the same nor chance


def possible() -> bool:
    """Whether there is something to compare with."""
    return find_spec("foolbox") is not None


def measure(run: Run, width: int, n: int, rounds: int, device: torch.device) -> None:
    """Add rows of ``pgd`` and ``deepfool``: ours, in fp32 and, where the device has it, bf16, and foolbox's.

    Args:
        run: Takes the rows.
        width: Width of the ResNet-18.
        n: Number of images.
        rounds: Rounds that are timed.
        device: Where.
    """
    network, x, y = _network(width, n, device)
    about = {"device": device.type, "width": width, "batch": n}
    options = {"eps": EPS, "step_size": EPS / 8, "steps": STEPS, "random_start": False}
    pgd: dict[str, Callable[[], Tensor]] = {"fp32": lambda: attacks.pgd(network, x, y, **options)}  # type: ignore[arg-type]
    if engine.has_bf16(device):
        fast = Fast(network)
        pgd["bf16"] = lambda: attacks.pgd(fast, x, y, **options)  # type: ignore[arg-type]
    deepfool: dict[str, Callable[[], Tensor]] = {"ours": lambda: attacks.deepfool(network, x)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # foolbox asks SciPy for old names
        import foolbox

        model = foolbox.PyTorchModel(network, bounds=(0, 1), device=device)
        theirs = foolbox.attacks.LinfPGD(abs_stepsize=EPS / 8, steps=STEPS, random_start=False)
        nearest = foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=10, loss="logits")
        pgd["foolbox"] = lambda: theirs.run(model, x, y, epsilon=EPS)
        answers = metrics.predictions(network, x)
        deepfool["foolbox"] = lambda: nearest.run(model, x, answers)
        for artefact, works in (("pgd", pgd), ("deepfool", deepfool)):
            found: dict[str, Tensor] = {}

            def kept(name: str, work: Callable[[], Tensor], found: dict[str, Tensor] = found) -> Callable[[], None]:
                return lambda: found.update({name: work()})

            seconds = timed({name: kept(name, work) for name, work in works.items()}, rounds, device)
            for name, value in seconds.items():
                keys: dict[str, Any] = {**about, "alternative": name}
                run.add(artefact, "seconds", value, n=rounds, **keys)
                fooled = metrics.predictions(network, found[name]) != (y if artefact == "pgd" else answers)
                run.add(artefact, "success_rate", fooled.double().mean().item(), n=n, **keys)
                run.add(artefact, "rho", metrics.rho(x, found[name]).item(), n=n, **keys)


def _network(width: int, n: int, device: torch.device) -> tuple[nn.Module, Tensor, Tensor]:
    """A ResNet-18 that has learnt to tell ten noisy patterns apart, and images of them."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(10, 3, 4, 4, generator=generator)

    def images(count: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(10, (count,), generator=generator)
        smooth = F.interpolate(patterns[y], size=32, mode="bilinear")
        noisy = 0.3 * smooth + 0.35 + 0.15 * torch.randn(smooth.shape, generator=generator)
        return noisy.clamp(0, 1).to(device), y.to(device)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = train.place(models.build("resnet18", classes=10, width=width), device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(FITTED):
        x, y = images(64)
        with torch.autocast(device.type, torch.bfloat16, enabled=engine.has_bf16(device)):
            logits = network(x.contiguous(memory_format=torch.channels_last))
        optimizer.zero_grad()
        F.cross_entropy(logits.float(), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval(), *images(n)
