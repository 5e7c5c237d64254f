# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Adversarial robustness
#
# *Section 3.1 and appendix D, tables 1, 2, 3, 9 and 10, figures 3, 4a, 9, 10 and 11.* All networks are trained on clean
# images alone. Projected gradient descent (PGD) {cite}`madry2018` moves each image within a ball of radius `eps` in the
# maximum norm to where the loss is high; the iterative least-likely attack {cite}`kurakin2017` pulls it towards the class that is the
# least likely; DeepFool {cite}`moosavi2016` looks for the nearest image of another class. *White box* attacks see the
# network they attack; *black box* ones have N-LR's gradients. Ours is a third setting, *another seed*: the same network
# trained from another seed is shown the examples.
#
# The paper leaves open in which unit its radii are, and more. The page on [which attack it was](calibration) fits these
# choices to the paper's N-LR row, and the [audit](audit) asks what is left of the differences under stronger attacks.

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
seeds: list[int] = None  # training seeds of each network
examples: int = None  # test images, the first ones of the test set
arch: str = None  # architecture of the networks
dataset: str = None  # dataset they are trained on
epochs: int = None  # length of a full training; fewer than the preset's shorten its schedule
unit: str = None  # unit of eps and step_size: pixels in [0, 1], or pixels divided by a standard deviation
step_size: str = None  # length of a step of an iterative attack
random_start: bool = None  # start at a uniform draw from the ball
until_fooled: bool = None  # leave an image alone once it is fooled
clip: bool = None  # keep attacked images in [0, 1]
precision: str = None  # arithmetic in which gradients are computed; answers are always fp32
eps: list[str] = None  # radii of the ball
steps: list[int] = None  # steps of PGD
ladder: list[str] = None  # radii of figure 4a and 9, in the same unit
searched: int = None  # test images for figures 4a, 9 and 11 and tables 3 and 10, the first ones
search_step: str = None  # length of a step in the search for the smallest radius (tables 3 and 10), in steps of a quarter of it
search_steps: int = None  # steps at most in that search
gallery: int = None  # images in the gallery
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import adversarial as prose
from lrlib.sections import adversarial as section
from lrlib.tables import origins

plots.use_style()
Markdown(prose.claim())

# %% [markdown]
# ## Measurement
#
# One call trains the networks that are not there yet, measures all rows of this page and keeps them as a record. Figures,
# tables and findings below are drawn from that record and the committed ones of other presets; each says which.

# %% tags=["hide-input"]
parameters = section.Parameters.of(
    preset,
    seeds=seeds,
    examples=examples,
    arch=arch,
    dataset=dataset,
    epochs=epochs,
    unit=unit,
    step_size=step_size,
    random_start=random_start,
    until_fooled=until_fooled,
    clip=clip,
    precision=precision,
    eps=eps,
    steps=steps,
    ladder=ladder,
    searched=searched,
    search_step=search_step,
    search_steps=search_steps,
    gallery=gallery,
)

# %%
measured = section.measure(parameters)
sections.keep(measured, parameters, record)
records = tables.beside_this_run(measured)

# %% [markdown]
# ## What was found

# %% tags=["remove-input"]
Markdown(tables.by_heading(records, prose.findings))

# %% [markdown]
# At the preset `quick` these are small networks on small images: the numbers show that the machinery runs, and are no
# verdict on the paper.

# %% [markdown]
# ## Table 1: accuracy under PGD
#
# Look for the distance between the variants, and for the two panels on the right: an attack that doesn't see the
# network should not beat one that does.

# %% mystnb={"image": {"alt": "Accuracy under PGD against the radius, for N-LR, 1-LR and 2-LR; panels for white box and black box, 7 and 20 steps"}}
plots.of_each(plots.attacked, records);

# %% [markdown]
# The paper's ResNet-18 on CIFAR-10 beside ours, accuracy in percent; in brackets, how much more ours is. A `?` marks a
# number of the paper that contradicts another one.

# %%
where = {"dataset": "cifar10", "arch": "resnet18", "difference": True}
Markdown(prose.units(records))

# %%
tables.beside_paper("table1", records, metric="adversarial_accuracy", rows=["setting", "eps", "steps"], **where)

# %% [markdown]
# The same attack with radius and step in the other unit.

# %%
Markdown(prose.units(records, other=True))

# %%
tables.beside_paper("table1", records, metric="adversarial_accuracy", rows=["setting", "eps", "steps"], ours="table1_other_unit", **where)

# %% [markdown]
# ## Tables 1 and 9: ResNet-50, and CIFAR-100
#
# The rest of table 1, and table 9 on the fine labels of CIFAR-100. Ours stand there once these networks were measured,
# which only `paper` does.

# %%
rest = [("table1", "resnet18", "cifar100-coarse"), ("table1", "resnet50", "cifar10"), ("table1", "resnet50", "cifar100-coarse"), ("table9", "resnet50", "cifar100-fine")]
tables.of_other_networks_beside_paper(measured, rest, ours="table1", metric="adversarial_accuracy", rows=["setting", "eps", "steps"])

# %% [markdown]
# ## Table 2: other methods
#
# SNIP {cite}`lee2019` prunes the weights before training, SRN {cite}`sanyal2020srn` lowers the stable rank of the weight
# matrices, SN {cite}`miyato2018` their spectral norm. The paper's numbers are those of ResNet-50.

# %%
deep = records | tables.of_other_networks(measured, ("resnet50", "cifar10"))
tables.beside_paper("table2", deep, metric="adversarial_accuracy", rows=["eps", "steps"], difference=True)

# %% [markdown]
# The same in the other unit.

# %%
tables.beside_paper("table2", deep, metric="adversarial_accuracy", rows=["eps", "steps"], ours="table2_other_unit", difference=True)

# %% [markdown]
# ## Tables 3 and 10: the smallest perturbations
#
# $\rho$ is the mean over images of the norm of the change over the norm of the image: larger means harder to fool. The
# iterative attacks stop once the network is fooled, with the smallest radius at which 99 % of the answers are wrong;
# black box, N-LR's gradients are followed until the attacked network is fooled. *Smallest FGSM* is ours: the shortest
# step along the sign of the gradient, among the images that such a step fools.

# %%
tables.beside_paper("table3", records, metric="rho", rows=["setting", "attack"], difference=True)

# %% [markdown]
# The same perturbations in the space of normalised images, where the paper may have measured them.

# %%
tables.beside_paper("table3", records, metric="rho", own_metric="rho_normalized", rows=["setting", "attack"], difference=True)

# %% [markdown]
# The radii of these attacks, in the unit that stands below table 1. A search that found none, up to 128 times the
# resolution, leaves its cell empty, and a cell without ± is of the one seed whose search found some.

# %%
tables.beside_paper("table10", records, metric="eps_min", rows=["setting", "attack"], difference=True)

# %% [markdown]
# ## Figure 4a: accuracy against the size of the perturbation
#
# After a fixed number of steps. A robust network's curve lies to the right. `Bottle-1LR` has the low-rank layer inside.
# Figure 9 is the same of VGG19 and on SVHN, and is drawn here where these were measured.

# %% mystnb={"image": {"alt": "Accuracy against the relative size of the perturbation for N-LR, 1-LR, 2-LR and Bottle-1LR, under PGD and the iterative least-likely attack"}}
plots.of_each(plots.ladder, records | tables.of_other_networks(measured, ("vgg19", "cifar10"), ("resnet18", "svhn")));

# %% [markdown]
# ## Figures 3 and 10: DeepFool's images
#
# Each pair of rows shows the same test images and what DeepFool made of them; the title of an image is the predicted
# class, and ρ the size of the change.

# %% mystnb={"image": {"alt": "Test images and their DeepFool versions for N-LR, 1-LR and 2-LR, with predicted classes and rho"}}
plots.of_each(plots.gallery, records);

# %% [markdown]
# ## Figure 11: on the way
#
# 1-LR under attack, with the paper's step and radius: *instantaneous* counts the answers that are the original ones
# after so many steps, *cumulative* those that have been so after every step.

# %% mystnb={"image": {"alt": "Instantaneous and cumulative accuracy of 1-LR against the number of steps of two attacks"}}
plots.of_each(plots.path, records);

# %% [markdown]
# ## What of the paper is here
#
# Every table and figure of this section against the presets.

# %% tags=["remove-input"]
tables.matrix("adversarial")

# %% [markdown]
# ## Where the numbers come from

# %% tags=["remove-input"]
Markdown(origins.told(records))

# %% [markdown]
# ## Parameters
#
# A parameter that is not given takes the preset's default.

# %% tags=["remove-input"]
tables.parameters(parameters)

# %% [markdown]
# ## Run this page again

# %% tags=["remove-input"]
Markdown(again.this_page("adversarial", parameters))
