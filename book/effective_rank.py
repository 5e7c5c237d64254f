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
# # Effective rank
#
# *Section 3, "Effective Rank", and figure 2.* How many directions do the representations of a data set need? The
# *variance ratio* at $k$ is the share of their energy that the leading $k$ singular values carry,
# $\sum_{i \le k} \sigma_i^2 / \sum_i \sigma_i^2$, of the activation matrix as it is, not centred.

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
seeds: list[int] = None  # training seeds of each network
examples: int = None  # test images, the first ones of the test set
arch: str = None  # architecture of the networks
dataset: str = None  # dataset they are trained on
epochs: int = None  # length of a full training; fewer than the preset's shorten its schedule
directions: int = None  # leading directions to show
part: str = None  # images whose representations are taken
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import effective_rank as prose
from lrlib.sections import effective_rank as section

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
    directions=directions,
    part=part,
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
# ## Figure 2
#
# Look for the curve that is first near one: it belongs to the representation of the lowest effective rank. On the left
# both LR variants have an LR layer, on the right only 2-LR.

# %% mystnb={"image": {"alt": "Variance ratio against the number of singular values, for N-LR, 1-LR and 2-LR, before the FC layer and before the fourth block"}}
plots.of_each(lambda record: plots.variance_ratio(record, [("figure2a", "(a) before the FC layer"), ("figure2b", "(b) before the fourth block")]), records);

# %% [markdown]
# The paper prints figure 2 without numbers. It does print the accuracies of its networks (table 1), which stand here
# beside ours, in percent.

# %%
tables.accuracies(records, "figure2a")

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
tables.matrix("effective_rank")

# %% [markdown]
# ## Run this page again

# %% tags=["remove-input"]
Markdown(again.this_page("effective_rank", parameters))
