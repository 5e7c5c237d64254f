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
# *Section 3, "Effective Rank", appendices A, C.1 and C.3; figures 2, 5, 6 and 7, tables 7(a) and 7(b).* How many directions do the representations of a data set need? The
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
rank: int = None  # rank that pre-activations are cut to (appendix A)
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import effective_rank as prose
from lrlib.sections import appendix_a
from lrlib.sections import effective_rank as section
from lrlib.tables import origins
from lrlib.tables import sections as section_tables

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
    directions=directions,
    part=part,
    rank=rank,
)

# %%
measured = section.measure(parameters)
sections.keep(measured, parameters, record)
records = tables.beside_this_run(measured)

# %% tags=["remove-input"]
Markdown(prose.method())

# %% [markdown]
# ## What was found

# %% tags=["remove-input"]
Markdown(tables.by_heading(records, prose.findings))

# %% [markdown]
# At the preset `quick` these are small networks on small images: the numbers show that the machinery runs, and are no
# verdict on the paper.

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
# ## Figures 5 and 6: VGG19, and SVHN
#
# Figure 5 is of VGG19 before its first and its third FC layer, figure 6 of a ResNet-18 on SVHN before and after its last
# block. Where those networks are not trained, figure 6 is drawn of the numbers of figure 2 that stand in for it.

# %% mystnb={"image": {"alt": "Variance ratio against the number of singular values on SVHN or what stands in for it, before and after the last block, for N-LR, 1-LR and 2-LR"}}
vgg = tables.of_other_networks(measured, ("vgg19", "cifar10"))
svhn = tables.of_other_networks(measured, ("resnet18", "svhn"), ("vgg19", "svhn"))
plots.of_each(lambda record: plots.variance_ratio(record, [("figure6a", "(a) before the last block"), ("figure6b", "(b) after the last block")]), records | svhn);

# %% mystnb={"image": {"alt": "Variance ratio against the number of singular values in VGG19, before the first and the third FC layer, for N-LR, 1-LR and 2-LR, where it was measured"}}
plots.of_each(lambda record: plots.variance_ratio(record, [("figure5", "before the first FC layer", "avgpool"), ("figure5", "before the third FC layer", "classifier.4")]), records | vgg);

# %% [markdown]
# ## Tables 7(a) and 7(b): accuracy of VGG19, and on SVHN
#
# In percent. Where ours are of another dataset, a network on that one stands in for the paper's.

# %%
section_tables.beside("table7a", records | vgg, keys=["arch", "variant"], metric="accuracy")

# %%
section_tables.beside("table7b", records | svhn, keys=["arch", "variant"], metric="accuracy")

# %% [markdown]
# ## Figure 7: class by class
#
# The share of the energy in the leading direction of one class's representations alone, the inverse of their stable
# rank. Look for classes that need more than one direction.

# %% mystnb={"image": {"alt": "Share of the first singular value class by class, for N-LR, 1-LR and 2-LR, before the FC layer and before the fourth block"}}
plots.of_each(lambda record: plots.by_class(record, [("figure7a", "(a) before the FC layer"), ("figure7b", "(b) before the fourth block")], mean=section.ALL), records);

# %% [markdown]
# ## Appendix A: what a ReLU does to rank
#
# A low rank of the weights gives pre-activations of low rank, but not activations. The paper's example has rank 1 before
# a ReLU and 2 behind it. Random matrices show how fast that grows with the rank before it:

# %%
section_tables.relu_ranks(appendix_a.relu_ranks())

# %% [markdown]
# ## Appendix A: low-rank pre-activations
#
# The paper's experiment: all but the leading 100 of 16,384 singular values of the pre-activations were set to zero; the
# activations had full rank, the 101st and 1,000th of their singular values were 49 and 7.9, and the first 100 explained
# 94 %. Here those of N-LR's last ReLU before the fourth block are cut (of VGG19 the one before its last FC layer), to a
# rank that shrinks with the network.

# %%
section_tables.pre_activations(records)

# %% [markdown]
# ## Appendix A: sparsity and rank
#
# In the paper's 1-LR the activations before the fourth block are 39 % sparse and need more than 1,000 directions for
# 99 % of the variance; after it they are 5 % sparse and need about 10. Look whether zeros, of activations or of weights
# as in SNIP, go with few directions. `layer3` is before the fourth block, `avgpool` before the FC layer.

# %%
section_tables.sparsity(records)

# %% [markdown]
# ## What of the paper is here
#
# Every table and figure of this section against the presets.

# %% tags=["remove-input"]
tables.matrix("effective_rank")

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
Markdown(again.this_page("effective_rank", parameters))
