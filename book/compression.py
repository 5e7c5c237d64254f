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
# *Section 3.3, appendices C.1, C.2, C.4 and D.5; tables 5, 6, 7(c) and 8, figure 8.* A *hybrid max-margin model* replaces the end of the network: its representations
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
attacked: int = None  # test images that are attacked, the first ones
reach: str = None  # radius of table 6's iterative attacks, in pixels
step_size: str = None  # length of their steps, in pixels
eps: list[str] = None  # radii of the attacks through the hybrid model, in pixels
steps: int = None  # steps of every attack
precision: str = None  # arithmetic in which gradients are computed; answers are always fp32
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import compression as prose
from lrlib.sections import compression as section
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
    dim=dim,
    train_examples=train_examples,
    attacked=attacked,
    reach=reach,
    step_size=step_size,
    eps=eps,
    steps=steps,
    precision=precision,
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
# ## Tables 5(a) and 5(b)
#
# Look at the left end of each panel: how much accuracy survives when only a few dimensions are left.

# %% mystnb={"image": {"alt": "Accuracy of max-margin classifiers against the number of dimensions, for N-LR, 1-LR and 2-LR, before the FC layer and before the fourth block"}}
plots.of_each(lambda record: plots.compression(record, [("table5a", "(a) before the FC layer"), ("table5b", "(b) before the fourth block"), ("table8", "before the first FC layer")]), records | tables.of_other_networks(measured));

# %% [markdown]
# Before the FC layer; the paper's numbers are of ResNet-50 on CIFAR-100 with coarse labels. Accuracy in percent.

# %%
deep = tables.of_other_networks(measured, ("resnet50", "cifar100-coarse"))
section_tables.by_dimension("table5a", records | deep)

# %% [markdown]
# Before the fourth block; the paper's numbers are of ResNet-18 on CIFAR-10.

# %%
section_tables.by_dimension("table5b", records)

# %% [markdown]
# ## Table 8: VGG19
#
# Before the first of three FC layers; the paper's numbers are of VGG19 on CIFAR-10.

# %%
section_tables.by_dimension("table8", records | tables.of_other_networks(measured, ("vgg19", "cifar10")))

# %% [markdown]
# ## Figure 8: two components
#
# Test images in the plane of the two leading principal components before the FC layer, coloured by class; the paper
# draws ResNet-50 on CIFAR-100 with coarse labels. Look whether the classes lie apart; the accuracy of a max-margin
# classifier in that plane, among the findings above, says so in a number.

# %% mystnb={"image": {"alt": "Test images in the plane of two principal components, coloured by class, for N-LR, 1-LR and 2-LR"}}
plots.of_each(plots.plane, records | deep);

# %% [markdown]
# ## What is replaced, and by how much
#
# The paper replaces the fourth block and the FC layer, of 8.4 million parameters, by a linear classifier with 0.02
# times as many. Counted here for the networks that were measured and for the paper's own, of width 64. The linear part
# of a narrower network is smaller in proportion to its width, the block to the width's square. A classifier on a few
# components is counted with its projection kept apart, as storing the components needs; folded into one linear map both
# are as large as the classifier on all dimensions. Of ResNets `layer3` is before the fourth block, `avgpool` before the
# FC layer.

# %%
section_tables.sizes(records | tables.of_other_networks(measured))

# %% [markdown]
# ## Table 6: examples that fooled the network
#
# Of the examples that fooled a network that was right about the image, how many its max-margin model on all dimensions
# has right, in percent, before the FC layer. As in appendix D.5, N-LR's model is shown examples that follow N-LR's
# gradients until *1-LR* is fooled, so that the noise is of a similar size. Those stopped when N-LR itself is fooled, as
# the others' are, stand below as `own_stop`. In N-LR's rows of the paper's kind it is 1-LR that had the image right.

# %%
section_tables.beside(
    "table6", records, keys=["setting", "attack", "variant"], metric="max_margin_adversarial_accuracy", tap=section.places(parameters.arch).get("table5a", "")
)

# %% [markdown]
# The same before the fourth block; the paper doesn't say which of the two it took.

# %%
section_tables.beside(
    "table6", records, keys=["setting", "attack", "variant"], metric="max_margin_adversarial_accuracy", tap=section.places(parameters.arch).get("table5b", "")
)

# %% [markdown]
# ## Through the hybrid model
#
# Table 6 attacks the network and hopes that the hybrid errs as well. Scaling, projection and classifier are one linear
# map, so the hybrid can be attacked like any network: PGD with the margin loss, once through the network and once
# through each hybrid, in pixels; answers in percent. Look at the rows whose answers and gradients are the same hybrid's.

# %%
section_tables.end_to_end(records)

# %% [markdown]
# ## Table 7(c): from coarse to fine labels
#
# Max-margin models for the fine labels of CIFAR-100, on representations of ResNet-50s that were trained on its coarse
# ones.

# %%
section_tables.beside("table7c", records | deep, keys=["dataset", "variant"], metric="max_margin_accuracy")

# %% tags=["remove-input"]
Markdown(prose.transfer(records | deep))

# %% [markdown]
# ## What of the paper is here
#
# Every table and figure of this section against the presets.

# %% tags=["remove-input"]
tables.matrix("compression")

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
Markdown(again.this_page("compression", parameters))
