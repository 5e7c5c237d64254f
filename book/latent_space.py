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
# # Latent space
#
# *Sections 2.1 and 3.2 to 3.5 of the report {cite}`cocola2018`, its first method.* Images are replaced by codes of few
# dimensions before they are classified: representations that are low-dimensional by construction. A plain autoencoder
# (one hidden layer, the code, with leaky ReLU) and a variational one (a layer of 150 units on either side of a linear code)
# learn to reproduce the training images. A code is the encoder's output, *encoding*, or the point whose image under the
# decoder is nearest, $z_P(x) = \arg\min_z \|D(z) - x\|_2$, *projection*, by gradient steps from one random start. On each
# kind of codes the classifiers 1L, 2L and LRL are trained, with codes in the place of pixels.
#
# The report's variational encoder draws its codes, and the report takes that for a reason of what it finds; here the
# codes' means are classified beside the drawn ones. The report does not state the autoencoders' loss, epochs and
# learning rate, nor the step of the projection: here they are cross-entropy of the pixels, Adam with 0.001 in batches of
# 128, and Adam with a step that shrinks from 1 to 0. The projection takes as many steps as the parameter `iterations`
# says: the report's 500 at `paper`, fewer at the smaller presets.

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
seeds: list[int] = None  # training seeds of each network
examples: int = None  # test images, the first ones of the test set
datasets: list[str] = None  # datasets of the classifiers and autoencoders
latent: int = None  # dimensions of the codes
autoencoder_epochs: int = None  # epochs of the autoencoders
code_epochs: int = None  # epochs of the classifiers of codes
iterations: int = None  # steps of the projection of an image on the decoder's range
adversaries: int = None  # adversaries of each classifier
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import latent_space as prose
from lrlib.sections import latent_space as section
from lrlib.tables import latent as latent_tables
from lrlib.tables import origins
from lrlib.tables import own as own_tables

plots.use_style()
Markdown(prose.claim())

# %% [markdown]
# ## Measurement
#
# One call trains the autoencoders and classifiers that are not there yet, measures all rows of this page and keeps them
# as a record. Figures, tables and findings below are drawn from that record and the committed ones of other presets;
# each says which.

# %% tags=["hide-input"]
parameters = section.Parameters.of(
    preset,
    seeds=seeds,
    examples=examples,
    datasets=datasets,
    latent=latent,
    autoencoder_epochs=autoencoder_epochs,
    code_epochs=code_epochs,
    iterations=iterations,
    adversaries=adversaries,
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
# verdict on the report.

# %% [markdown]
# ## The report's figure 4: accuracy
#
# What does it cost to see codes instead of images? Look at the drawn codes of the variational encoder beside their means.

# %% mystnb={"image": {"alt": "Test accuracy of 1L, 2L and LRL on images and on each kind of codes"}}
plots.of_each(plots.latent_accuracy, records);

# %% [markdown]
# ## The report's figure 5: the perturbation that fools
#
# Adversaries of another class at 95 % confidence, with the report's attack, as many of each classifier as the parameter
# `adversaries` says; the report has 180. The report changes what a classifier sees: codes where it classifies codes,
# and it divides by their norm. But nobody sends codes. The panels on the right change images: of encodings through the
# encoder, with the variational one's mean; of projections by the difference of the decoder's images of the changed and
# unchanged code, which counts where the classifier of the new projection is wrong, and is no more than an upper bound
# on the smallest perturbation. Only attacks that got there are counted.

# %% mystnb={"image": {"alt": "Relative size of adversaries of 1L, 2L and LRL, among codes and among images"}}
plots.of_each(plots.latent_sizes, records);

# %% [markdown]
# ## The report's figure 6: transferred adversaries
#
# The adversaries of each classifier of images, as codes, before the classifier of codes with the same architecture. A
# network that has not been attacked withstands some of them anyway: the same classifier of images trained from another
# seed says how many. The right panels say what is lost on the images that they were made from.

# %% mystnb={"image": {"alt": "Accuracy of 1L, 2L and LRL on transferred adversaries and on their originals, for each kind of codes"}}
plots.of_each(plots.latent_transfer, records);

# %% [markdown]
# ## All classifiers
#
# Accuracies in percent.

# %%
own_tables.by_preset(records, "report_figure4", latent_tables.classified)

# %% [markdown]
# ## What the report states
#
# It draws its figures and prints no numbers, but says how they are ordered. A code's number is the mean over the three
# classifiers; the smallest of those that are said to be larger stands against the largest of the others. Perturbations
# are those of codes, as in the report. *About as accurate* means that the best classifiers are within two points. Means
# decide here, without their intervals, so that an ordering may hold which the scoreboard calls inconclusive.

# %%
own_tables.by_preset(records, "report_figure4", latent_tables.orderings)

# %% [markdown]
# ## What of the report is here
#
# Every figure of these sections against the presets.

# %% tags=["remove-input"]
tables.matrix("latent_space")

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
Markdown(again.this_page("latent_space", parameters))
