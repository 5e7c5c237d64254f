"""The presets: what is trained on what, from a minute on a laptop to the paper's own numbers on a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lrlib import models
from lrlib.specs import Baseline, Regularizer, Spec

# Share of the learning rate for networks with an explicit bottleneck: with all of it Bottle-1LR diverges at `quick`.
BOTTLE_RATE = 0.2


@dataclass(frozen=True)
class Preset:
    """A set of defaults for all pages.

    Attributes:
        name: What ``-p preset`` takes.
        dataset: The dataset of the paper's sections.
        report_dataset: The dataset of the SVD report's classifiers.
        seeds: Training seeds of each variant.
        network: The plain network N-LR with seed 0; the others differ in variant, seed and settings, those with a
            bottleneck in the learning rate, and the PGD-trained one in the schedule.
        lr: The LR layers' settings.
        baseline: Those of table 2's methods and of adversarial training.
        hardened_epochs: Epochs of the PGD-trained network, whose steps take ``baseline.steps`` more passes each.
        lr_of: The LR layers' settings of the variants that need others; a setting that suits the features before the FC
            layer can ruin the wide ones before the fourth block.
        others: Architectures and datasets beside the network's own that ``lrlib reproduce`` measures, in their order.
    """

    name: str
    dataset: str
    report_dataset: str
    seeds: tuple[int, ...]
    network: Spec
    lr: Regularizer
    baseline: Baseline
    hardened_epochs: int
    lr_of: Mapping[str, Regularizer] = field(default_factory=dict)
    others: tuple[tuple[str, str], ...] = ()

    def settings(self, variant: str) -> Regularizer | None:
        """The LR layers' settings of a variant; None if it has none."""
        return self.lr_of.get(variant, self.lr) if variant in models.REGULARIZED else None


def _network(dataset: str, width: int, epochs: int, batch_size: int, learning_rate: float, **other: object) -> Spec:
    base = Spec(
        dataset=dataset,
        size=None,
        arch="resnet18",
        width=width,
        variant="N-LR",
        seed=0,
        epochs=epochs,
        batch_size=batch_size,
        optimizer="sgd",
        learning_rate=learning_rate,
        milestones=None,
        momentum=0.9,
        weight_decay=5e-4,
        precision="fp32",
        lr=None,
    )
    return replace(base, **other)  # type: ignore[arg-type]


# λ1, λ2, start and step of the LR layers were chosen on held-out training images (the book's page `training`), at
# `quick` and `small`; `paper` takes what `small` has.
PRESETS = {
    "quick": Preset(
        name="quick",
        dataset="digits",
        report_dataset="digits",
        seeds=(0, 1, 2, 3, 4),
        network=_network("digits", width=16, epochs=20, batch_size=64, learning_rate=0.1),
        lr=Regularizer(lambda_c=3.0, lambda_n=0.03, step_size=0.01, from_epoch=3),
        baseline=Baseline(eps=48 / 255, step_size=16 / 255, steps=5),
        hardened_epochs=20,
        lr_of={"2-LR": Regularizer(lambda_c=3.0, lambda_n=0.03, from_epoch=3)},
    ),
    "small": Preset(
        name="small",
        dataset="cifar10",
        report_dataset="mnist",
        seeds=(0, 1, 2),
        network=_network("cifar10", width=16, epochs=24, batch_size=128, learning_rate=0.2, precision="bf16"),
        lr=Regularizer(lambda_c=5.0, lambda_n=0.03, step_size=0.5, from_epoch=3),
        baseline=Baseline(eps=8 / 255, step_size=4 / 255, steps=3),
        hardened_epochs=8,
        lr_of={"2-LR": Regularizer(lambda_c=0.1, lambda_n=0.0003, from_epoch=3)},
    ),
    # Section C: learning rate 0.1, 350 epochs, batch 128, divided by ten at epochs 150 and 250, LR after 50 epochs.
    "paper": Preset(
        name="paper",
        dataset="cifar10",
        report_dataset="mnist",
        seeds=(0, 1, 2),
        network=_network(
            "cifar10", width=64, epochs=350, batch_size=128, learning_rate=0.1, milestones=(150, 250), precision="bf16"
        ),
        lr=Regularizer(lambda_c=5.0, lambda_n=0.03, step_size=0.5, from_epoch=50),
        baseline=Baseline(eps=8 / 255, step_size=2 / 255, steps=7),
        hardened_epochs=30,
        lr_of={"2-LR": Regularizer(lambda_c=0.1, lambda_n=0.0003, from_epoch=50)},
        others=(
            ("resnet50", "cifar10"),
            ("resnet18", "cifar100-coarse"),
            ("resnet50", "cifar100-coarse"),
            ("resnet50", "cifar100-fine"),
            ("vgg19", "cifar10"),
            ("resnet18", "svhn"),
            ("vgg19", "svhn"),
        ),
    ),
}


def get(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ValueError: If there is none.
    """
    if name not in PRESETS:
        raise ValueError(f"expected a preset among {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]


def spec(
    preset: str,
    variant: str,
    seed: int,
    *,
    arch: str | None = None,
    dataset: str | None = None,
    epochs: int | None = None,
) -> Spec:
    """What the preset trains for a variant of the paper.

    Args:
        preset: Name of a preset.
        variant: One of ``models.VARIANTS``.
        seed: Training seed.
        arch: An architecture in the place of the preset's.
        dataset: A dataset in the place of the preset's.
        epochs: Shorten the schedule to so many epochs, if the preset's is longer.

    Returns:
        The specification.

    Raises:
        ValueError: If the preset, variant or architecture is unknown, or they don't go together.
    """
    chosen = get(preset)
    network = replace(chosen.network, arch=arch or chosen.network.arch, dataset=dataset or chosen.network.dataset)
    models.taps(network.arch, variant)
    baseline = chosen.baseline if variant in models.BASELINES else None
    network = replace(network, variant=variant, seed=seed, lr=chosen.settings(variant), baseline=baseline)
    if variant.startswith("Bottle"):
        network = replace(network, learning_rate=BOTTLE_RATE * network.learning_rate)
    if variant == "PGD-trained":
        network = shortened(network, chosen.hardened_epochs)
    return network if epochs is None else shortened(network, epochs)


def shortened(network: Spec, epochs: int) -> Spec:
    """A specification whose schedule is squeezed into fewer epochs: its milestones, and when its LR layers are put on.

    Args:
        network: What would be trained.
        epochs: For how long instead; at least 1 unless the schedule is empty.

    Returns:
        The specification, the same one if it isn't longer than that.
    """
    if network.epochs <= epochs:
        return network
    share = epochs / network.epochs
    milestones = network.milestones and tuple(round(share * epoch) for epoch in network.milestones)
    lr = network.lr and replace(network.lr, from_epoch=min(round(share * network.lr.from_epoch), epochs - 1))
    return replace(network, epochs=epochs, milestones=milestones, lr=lr)


def random_network(network: Spec) -> Spec:
    """The same network with the weights it starts from (section 3.2, "random network")."""
    return replace(network, epochs=0)


def classifier(preset: str, arch: str, seed: int, *, dataset: str | None = None) -> Spec:
    """A classifier of the SVD report: 50 epochs of Adam in batches of 1,000 (its section 3.3).

    The report states neither the width of the hidden layer nor the learning rate: 100 units, and Adam's usual 0.001,
    or 0.01 on the digits, whose epoch has two batches instead of sixty.

    Args:
        preset: Name of a preset.
        arch: One of ``models.LINEAR``.
        seed: Training seed.
        dataset: A dataset in the place of the preset's ``report_dataset``.
    """
    dataset = dataset or get(preset).report_dataset
    return replace(
        get(preset).network,
        dataset=dataset,
        arch=arch,
        width=100,
        seed=seed,
        epochs=50,
        batch_size=1000,
        optimizer="adam",
        learning_rate=0.01 if dataset == "digits" else 0.001,
        milestones=(),
        weight_decay=0.0,
        precision="fp32",
    )
