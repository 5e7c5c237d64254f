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
# pixels: 1L is one linear layer, 2L two of them, LRL two with a ReLU between. The adversaries are DeepFool's, of images
# that the whole classifier has right, made once; the report made its own with another attack. DeepFool stops just across
# the border between two classes, so any change of the weights brings many of its adversaries back: that adversarial
# accuracy rises as soon as something is scaled is no robustness yet.

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
seeds: list[int] = None  # training seeds of each network
examples: int = None  # test images, the first ones of the test set
fraction: list[float] = None  # fractions of the lowest singular values that are scaled
scale: list[float] = None  # what they are multiplied by: 0 zeroes them, 0.1 divides by ten
adversaries: int = None  # adversaries of each classifier, made once
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import svd_truncation as prose
from lrlib.sections import svd_truncation as section

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
    fraction=fraction,
    scale=scale,
    adversaries=adversaries,
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
# ## The report's figure 7, for every classifier
#
# Look for a range where accuracy on the adversaries has risen and accuracy on the test images has not yet fallen. First
# with the lowest singular values divided by ten.

# %% mystnb={"image": {"alt": "Train, test and adversarial accuracy of 1L, 2L and LRL against the fraction of singular values divided by ten"}}
plots.of_each(lambda record: plots.truncation(record, scale=parameters.scale[0]), records);

# %% [markdown]
# Then with the last `scale` of the parameters, which zeroes them at the defaults.

# %% mystnb={"image": {"alt": "Train, test and adversarial accuracy of 1L, 2L and LRL against the fraction of singular values set to zero"}}
plots.of_each(lambda record: plots.truncation(record, scale=parameters.scale[-1]), records);

# %% [markdown]
# The same numbers at some of the fractions, in percent.

# %%
tables.truncations(measured, fractions=[0.0, 0.05, 0.1, 0.15, 0.2, 0.4, 0.6, 0.8, 1.0])

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
tables.matrix("svd_truncation")

# %% [markdown]
# ## Run this page again

# %% tags=["remove-input"]
Markdown(again.this_page("svd_truncation", parameters))
