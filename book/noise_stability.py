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
# # Noise stability
#
# *Section 3.2, table 4, figures 4(b) and 4(c).* Three views of how a network answers to a small change of its input:
# accuracy under random noise, the way of an adversarial perturbation into the representation, and the *layer cushion*
# of Arora et al. {cite}`arora2018`, which compares a layer's output with the largest it could be.

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
seeds: list[int] = None  # training seeds of each network
examples: int = None  # test images, the first ones of the test set
arch: str = None  # architecture of the networks
dataset: str = None  # dataset they are trained on
epochs: int = None  # length of a full training; fewer than the preset's shorten its schedule
probability: list[float] = None  # probabilities with which a pixel is perturbed
std: str = None  # standard deviation of the noise in pixel units
eps: list[str] = None  # radii of the attacks that are propagated
steps: int = None  # steps of PGD
cushion_examples: int = None  # training images for the layer cushion, the first ones
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import noise_stability as prose
from lrlib.sections import noise_stability as section

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
    probability=probability,
    std=std,
    eps=eps,
    steps=steps,
    cushion_examples=cushion_examples,
)
tables.parameters(parameters)

# %% [markdown]
# ## Measurement
#
# One call trains the networks that are not there yet, measures all rows of this page and keeps them as a record. Figures,
# tables and findings below are drawn from that record and the committed ones of other presets; each says which.

# %%
measured = section.measure(parameters)
sections.keep(measured, parameters, record)
records = tables.beside_this_run(measured)
Markdown(tables.origin(measured))

# %% [markdown]
# ## Table 4: random pixel noise
#
# Each pixel is drawn with probability $p$; a drawn one gets Gaussian noise on all its channels. The paper writes
# $\mathcal N(0, 128/255)$; `std` reads it as a standard deviation in pixels.

# %% mystnb={"image": {"alt": "Accuracy against the probability that a pixel is perturbed, for N-LR, 1-LR and 2-LR"}}
plots.of_each(plots.noise, records);

# %%
tables.beside_paper("table4", records, metric="noise_accuracy", rows=["probability"], arch="resnet18")

# %% [markdown]
# ## Figure 4(b): propagation into the representation
#
# PGD at several radii; on the axes the squared relative change of the input and of the representation before the FC
# layer. Lower is more stable.

# %% mystnb={"image": {"alt": "Squared relative change of the representation against that of the input, for N-LR, 1-LR and 2-LR"}}
plots.of_each(plots.propagation, records);

# %% [markdown]
# ## Figure 4(c): layer cushion
#
# $\mu = \|W \phi\| / (\|W\|_F \|\phi\|)$ for what enters the layer, over training images; `random` is the network before
# training. A curve further right means more cushion.

# %% mystnb={"image": {"alt": "Cumulative distribution of the layer cushion at three layers, for N-LR, 1-LR, 2-LR and a random network"}}
plots.of_each(plots.cushion, records);

# %% [markdown]
# ## What was found

# %% tags=["remove-input"]
Markdown(tables.by_heading(records, prose.findings))

# %% [markdown]
# At the preset `quick` these are small networks on small images: the numbers show that the machinery runs, and are no
# verdict on the paper.
#
# ## What of the paper is here
#
# Every table and figure of this section against the presets.

# %% tags=["remove-input"]
tables.matrix("noise_stability")

# %% [markdown]
# ## Run this page again

# %% tags=["remove-input"]
Markdown(again.this_page("noise_stability", parameters))
