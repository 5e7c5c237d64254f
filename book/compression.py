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
# # Compression
#
# *Section 3.3, tables 5(a) and 5(b).* A *hybrid max-margin model* replaces the end of the network: its representations
# are scaled, projected onto their leading principal components and given to a linear classifier with hinge loss.

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
seeds: list[int] = None  # training seeds of each network
examples: int = None  # test images, the first ones of the test set
arch: str = None  # architecture of the networks
dataset: str = None  # dataset they are trained on
epochs: int = None  # length of a full training; fewer than the preset's shorten its schedule
dim: list[int] = None  # principal components that are kept, beside all dimensions
train_examples: int = None  # training images for the classifier, the first ones
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import compression as prose
from lrlib.sections import compression as section

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
    dim=dim,
    train_examples=train_examples,
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
# ## Tables 5(a) and 5(b)
#
# Look at the left end of each panel: how much accuracy survives when only a few dimensions are left.

# %% mystnb={"image": {"alt": "Accuracy of max-margin classifiers against the number of dimensions, for N-LR, 1-LR and 2-LR, before the FC layer and before the fourth block"}}
plots.of_each(lambda record: plots.compression(record, [("table5a", "(a) before the FC layer"), ("table5b", "(b) before the fourth block")]), records);

# %% [markdown]
# Before the FC layer; the paper's numbers are of ResNet-50 on CIFAR-100 with coarse labels. Accuracy in percent.

# %%
tables.beside_paper("table5a", records, metric="max_margin_accuracy", rows=["dim"])

# %% [markdown]
# Before the fourth block; the paper's numbers are of ResNet-18 on CIFAR-10.

# %%
tables.beside_paper("table5b", records, metric="max_margin_accuracy", rows=["dim"])

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
tables.matrix("compression")

# %% [markdown]
# ## Run this page again

# %% tags=["remove-input"]
Markdown(again.this_page("compression", parameters))
