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
# # The audit
#
# *Section 3.1, under attacks that nobody can call weak.* Each network is attacked as in the paper, and then with all that
# is known to work better, on the same images and within the same ball: more steps, more starts, three losses, rescaled
# logits, gradients in float64, an attack on the representation, examples made on other networks, and AutoAttack
# {cite}`croce2020`. An image counts as safe if it survives everything. The question for each variant is how much of its
# gain over N-LR is left.
#
# Two controls show that the audit can tell: a network trained on attacked images, which has to be found robust, and a
# planted one with masked gradients, which looks robust under the paper's protocol and has to be found out. All of this
# takes long, so the page shows its committed records unless it is told to measure.

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
eps: str = None  # radius of the ball, in the unit
steps: list[int] = None  # steps: of the paper's protocol, of the strong one, and on what that left standing
restarts: int = None  # restarts at most
patience: int = None  # restarts in a row that fool nothing, after which there are no more
costly: int = None  # test images for AutoAttack and for gradients in float64, the first ones
radii: list[str] = None  # radii in pixels, from small to large
measure: bool = None  # measure anew instead of showing the committed record
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import audit as prose
from lrlib.sections import audit as section
from lrlib.tables import origins
from lrlib.tables import own as own_tables

plots.use_style()
Markdown(prose.claim())

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
    restarts=restarts,
    patience=patience,
    costly=costly,
    radii=radii,
    measure=measure,
)

# %%
records = sections.standing("audit", parameters, record)

# %% [markdown]
# ## The verdicts

# %% tags=["remove-input"]
Markdown(tables.by_heading(records, prose.findings))

# %% [markdown]
# In the table, *paper* and *strong* are accuracies in percent under the two protocols, *gain* is what a network has above
# N-LR of the same seed, and p is the largest of McNemar's exact tests on the worst case within a seed. A gain *survives*
# if the network is significantly better than N-LR in every seed and keeps at least half of the gain, *in part* if it
# keeps less; it is *not shown* if it is better on average alone, and *gone* if it isn't. *No gradient* is the share of
# images at which the paper's loss has none, *0 % at* the radius at which no answer is right any more under either
# protocol, and *masked* says whether both look like masked gradients.

# %%
own_tables.by_preset(records, "audit", own_tables.verdicts)

# %% [markdown]
# ## The controls

# %% tags=["remove-input"]
Markdown(tables.by_heading(records, prose.controls))

# %% [markdown]
# ## Every attack
#
# Accuracy in percent, mean over seeds, of all images or of the first ones. *Survivors*: tried on the images that all
# attacks above had left standing.

# %%
own_tables.by_preset(records, "audit", own_tables.audit)

# %% [markdown]
# ## Accuracy against the radius
#
# Radii in pixels of [0, 1]. A ball of radius one holds every image, so no classifier survives it; one whose accuracy
# stays above 0 there has not been attacked well. Look for the planted network under the paper's loss.

# %% mystnb={"image": {"alt": "Accuracy against the radius in pixels for each network, under the loss of the paper and in the worst case of three losses"}}
plots.of_latest(plots.radii, records);

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
Markdown(again.this_page("audit", parameters))
