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
# *Section 3.1, tables 1 and 3, figure 10.* All networks are trained on clean images alone. Projected gradient descent
# (PGD) {cite}`madry2018` moves each image within a ball of radius `eps` in the maximum norm to where the loss is high; DeepFool {cite}`moosavi2016` looks for
# the nearest image of another class. *White box* attacks see the network they attack; *black box* ones were made on
# N-LR. `eps` is in pixels of [0, 1] unless `unit` says `normalized`: then it is multiplied by the data set's standard
# deviation, a budget about four times smaller that the paper may have used without saying so.

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
seeds: list[int] = None  # training seeds of each network
examples: int = None  # test images, the first ones of the test set
arch: str = None  # architecture of the networks
dataset: str = None  # dataset they are trained on
epochs: int = None  # length of a full training; fewer than the preset's shorten its schedule
eps: list[str] = None  # radii of the ball
steps: list[int] = None  # steps of PGD
step_size: str = None  # length of a step of PGD
unit: str = None  # unit of eps and step_size: pixels in [0, 1], or pixels divided by the dataset's standard deviation
random_start: bool = None  # start PGD at a uniform draw from the ball
deepfool_examples: int = None  # test images for DeepFool, the first ones
gallery: int = None  # images in the gallery
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import plots, sections, tables
from lrlib.prose import adversarial as prose
from lrlib.sections import adversarial as section

plots.use_style()
Markdown(prose.claim())

# %% [markdown]
# ## Parameters
#
# A parameter that is not given takes the preset's default.

# %%
parameters = section.Parameters.of(
    preset,
    seeds=seeds,
    examples=examples,
    arch=arch,
    dataset=dataset,
    epochs=epochs,
    eps=eps,
    steps=steps,
    step_size=step_size,
    unit=unit,
    random_start=random_start,
    deepfool_examples=deepfool_examples,
    gallery=gallery,
)
tables.parameters(parameters)

# %% [markdown]
# ## Measurement
#
# One call trains the networks that are not there yet, measures all rows of this page and keeps them as a record; the
# figures and tables below are drawn from that record alone.

# %%
measured = section.measure(parameters)
sections.keep(measured, parameters, record)
Markdown(tables.origin(measured))

# %% [markdown]
# ## Table 1
#
# Look for the distance between the variants, and for the two panels on the right: an attack that doesn't see the
# network should not beat one that does.

# %% mystnb={"image": {"alt": "Accuracy under PGD against the radius, for N-LR, 1-LR and 2-LR; panels for white box and black box, 7 and 20 steps"}}
plots.attacked(measured);

# %% [markdown]
# The paper's ResNet-18 on CIFAR-10 beside ours, accuracy in percent. A `?` marks a number of the paper that contradicts
# another one.

# %%
records = tables.beside_this_run(measured)
where = {"dataset": "cifar10", "arch": "resnet18"}
Markdown(prose.units(records))

# %%
tables.beside_paper("table1", records, metric="adversarial_accuracy", rows=["setting", "eps", "steps"], **where)

# %% [markdown]
# ## Table 3: DeepFool
#
# $\rho$ is the mean over images of the norm of the change over the norm of the image: larger means harder to fool.

# %%
tables.beside_paper("table3", records, metric="rho", rows=["setting", "attack"], setting="white_box", attack="deepfool")

# %% [markdown]
# ## Figure 10: DeepFool's images
#
# Each pair of rows shows the same test images and what DeepFool made of them; the title of an image is the predicted
# class, and ρ the size of the change.

# %% mystnb={"image": {"alt": "Test images and their DeepFool versions for N-LR, 1-LR and 2-LR, with predicted classes and rho"}}
plots.gallery(measured);

# %% [markdown]
# ## What was found

# %% tags=["remove-input"]
Markdown(tables.sentences(prose.findings(measured)))

# %% [markdown]
# At the preset `quick` these are small networks on small images: the numbers show that the machinery runs, and are no
# verdict on the paper.
#
# ## What of the paper is here
#
# Every table and figure of this section against the presets.

# %% tags=["remove-input"]
tables.matrix("adversarial")

# %% [markdown]
# ## Run this page again
#
# In a checkout of the repository, after `make book`:
#
# ```console
# $ .venv/bin/lrlib run adversarial -p seeds 0 -p examples 100 -o again
# ```
#
# writes the executed notebook and its record into the folder `again`; `.venv/bin/lrlib run adversarial --list` shows
# every parameter with its value and meaning.
