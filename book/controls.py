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
# # Controls
#
# *Section 2 and what the paper leaves out.* 1-LR differs from N-LR in three ways at once: its activations are pulled
# into a subspace of low rank, their norms are pulled towards one, and all of that happens while it is trained. Which of
# them does what? Here each is taken away in turn: the norm loss without the projection loss, the projection loss without
# the norm loss, other ranks (the paper calls the rank insensitive), a bottleneck inside the network in the place of the
# virtual layer, and N-LR whose features are projected onto their leading principal components after training, which
# section 2 says gives neither benefit.

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
seeds: list[int] = None  # training seeds of each network
examples: int = None  # test images, the first ones of the test set
arch: str = None  # architecture of the networks
dataset: str = None  # dataset they are trained on
epochs: int = None  # length of a full training; fewer than the preset's shorten its schedule
rank: list[int] = None  # ranks of 1-LR beside its own
eps: list[str] = None  # radii of PGD in pixels
steps: int = None  # steps of PGD
probability: list[float] = None  # probabilities with which a pixel is perturbed
attacked: int = None  # test images for the attacks, the first ones
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import controls as prose
from lrlib.sections import controls as section
from lrlib.tables import origins
from lrlib.tables import own as own_tables

plots.use_style()
Markdown(prose.claim())

# %% [markdown]
# ## Measurement
#
# One call trains the networks that are not there yet, measures all rows of this page and keeps them as a record. Table
# and findings below are of that record and the committed ones of other presets; each says which.

# %% tags=["hide-input"]
parameters = section.Parameters.of(
    preset,
    seeds=seeds,
    examples=examples,
    arch=arch,
    dataset=dataset,
    epochs=epochs,
    rank=rank,
    eps=eps,
    steps=steps,
    probability=probability,
    attacked=attacked,
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
# With one seed, differences of a point or two are within what another seed changes.

# %% [markdown]
# ## What does what
#
# Accuracies in percent. PGD starts at a uniform draw from the ball of that radius, in pixels, and takes steps of a
# quarter of it; noise has a standard deviation of 128/255, in pixels of [0, 1], at each pixel with probability p. The
# page on [noise stability](noise_stability) has all readings of that noise.

# %%
own_tables.by_preset(records, "controls", own_tables.controls)

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
Markdown(again.this_page("controls", parameters))
