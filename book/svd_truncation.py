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
# # SVD truncation
#
# *Section 3.6 of the report on singular values {cite}`cocola2018`.* The same idea applied to weights instead of representations: after
# training, the lowest singular values of every weight matrix are zeroed, or divided by ten. Three classifiers of raw
# pixels: 1L is one linear layer, 2L two of them, LRL two with a ReLU between.
#
# The adversaries are the report's: from an image that the classifier has right, gradient descent on cross-entropy for
# another class plus $\lambda \|x - \bar x\|_2$, clamped to [0, 1], until that class has 95 % confidence; 180 a
# classifier (the parameter `adversaries`), two images of each class with each of the nine other classes as goal. The
# report makes them once, for the whole classifier, and shows them to the truncated one. Whoever attacks the truncated
# classifier would make them for that one, so here they are also *made again*. DeepFool's are made beside them: they
# stop just across the nearest border, at a distance that no scale of the logits can hide, and a rise of accuracy on
# those made once is no robustness yet, for any change of the weights brings some of them back.
#
# At the end the truncation is applied to N-LR, 1-LR and 2-LR, each convolution as the matrix of its output channels:
# weights of low rank beside representations of low rank.

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
seeds: list[int] = None  # training seeds of each network
examples: int = None  # test images, the first ones of the test set
datasets: list[str] = None  # datasets of the classifiers
fraction: list[float] = None  # fractions of the lowest singular values that are scaled in the classifiers
scale: list[float] = None  # what they are multiplied by: 0 zeroes them, 0.1 divides by ten
adversaries: int = None  # adversaries of each classifier
compared: bool = None  # also measure N-LR, 1-LR and 2-LR, which takes most of the time
network_fraction: list[float] = None  # fractions of the lowest singular values that are zeroed in N-LR, 1-LR and 2-LR
network_examples: int = None  # test images for the accuracy and the variance ratio of those networks, the first ones
attacked: int = None  # test images for PGD on those networks, the first ones
eps: str = None  # radius of PGD in pixels
steps: int = None  # steps of PGD
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import svd_truncation as prose
from lrlib.sections import svd_truncation as section
from lrlib.tables import origins
from lrlib.tables import own as own_tables
from lrlib.tables import report as report_tables

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
    datasets=datasets,
    fraction=fraction,
    scale=scale,
    adversaries=adversaries,
    compared=compared,
    network_fraction=network_fraction,
    network_examples=network_examples,
    attacked=attacked,
    eps=eps,
    steps=steps,
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
# ## The report's figure 7, for every classifier
#
# Look for a range where accuracy on the adversaries made once has risen and accuracy on the test images has not yet
# fallen, and whether that on the adversaries made again has risen with it. First with the lowest singular values divided
# by ten.

# %% mystnb={"image": {"alt": "Train, test and adversarial accuracy of 1L, 2L and LRL against the fraction of singular values divided by ten"}}
plots.of_each(lambda record: plots.truncation(record, scale=parameters.scale[0]), records);

# %% [markdown]
# Then with the last `scale` of the parameters, which zeroes them at the defaults.

# %% mystnb={"image": {"alt": "Train, test and adversarial accuracy of 1L, 2L and LRL against the fraction of singular values set to zero"}}
plots.of_each(lambda record: plots.truncation(record, scale=parameters.scale[-1]), records);

# %% [markdown]
# The same numbers at some of the fractions: accuracies in percent, and the relative size ρ of the adversaries made
# again, of those that the attack finds.

# %%
shown = [0.0, 0.05, 0.1, 0.15, 0.2, 0.4, 0.6, 0.8, 1.0]
own_tables.by_preset(records, "report_figure7", lambda record: report_tables.truncations(record, fractions=shown))

# %% [markdown]
# ## Adversaries made again
#
# The report calls the perturbation that it takes to have another class at 95 % confidence a classifier's robustness.
# Look for a fraction at which it has grown with both attacks: if it has grown with the report's alone, the truncated
# classifier is merely less sure of its answers. Only images count that the truncated classifier has right and both have
# adversaries of; truncation loses those near a boundary first, so that the mean over what is left grows by itself. The
# scoreboard and the findings therefore compare with the whole classifier's adversaries of the same images.

# %% mystnb={"image": {"alt": "Relative size of adversaries of the truncated classifier against the fraction of scaled singular values, with the report's attack and DeepFool"}}
plots.of_each(lambda record: plots.perturbation(record, scale=parameters.scale[0]), records);

# %% [markdown]
# ## Weights or representations of low rank
#
# All weight matrices of the paper's networks lose the same fraction of their singular values. PGD takes the better of
# cross-entropy and the margin of the logits on each image. Look at how much accuracy N-LR has to give for what 1-LR and
# 2-LR have at the left end, and whether the representations of truncated networks are of lower rank.

# %% mystnb={"image": {"alt": "Accuracy, accuracy under PGD made again and once, and variance ratio of N-LR, 1-LR and 2-LR against the fraction of singular values set to zero"}}
plots.of_each(plots.truncated_networks, records);

# %%
own_tables.by_preset(records, "truncated_networks", report_tables.truncated_networks)

# %% [markdown]
# ## What of the paper is here
#
# Every table and figure of this section against the presets.

# %% tags=["remove-input"]
tables.matrix("svd_truncation")

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
Markdown(again.this_page("svd_truncation", parameters))
