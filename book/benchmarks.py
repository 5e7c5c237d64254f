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
# # What it costs
#
# The LR layer before the fourth block of the paper's ResNet-18 sees 16,384 activations. As a matrix its W has 268
# million entries, a gigabyte that every batch is multiplied with; kept by factors it is never formed. These are times
# and memory, measured in turn within one run, so that the ratios hold where the seconds don't. The page shows the
# committed records; `make bench` measures anew.

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
parts: list[str] = None  # what to measure
width: int = None  # width of the ResNet-18 whose LR layer before the fourth block is measured
batch_size: int = None  # examples in a step
sizes: list[int] = None  # widths m of the matrices that are projected
widths: list[int] = None  # widths of the ResNet-18 whose precision is compared
attacked: int = None  # images that are attacked
rounds: int = None  # rounds that are timed
measure: bool = None  # measure anew instead of showing the committed record
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import benchmarks as prose
from lrlib.sections import benchmarks as section
from lrlib.tables import origins
from lrlib.tables import own as own_tables

plots.use_style()

# %% tags=["hide-input"]
parameters = section.Parameters.of(
    preset, parts=parts, width=width, batch_size=batch_size, sizes=sizes, widths=widths, attacked=attacked, rounds=rounds, measure=measure
)

# %%
records = sections.standing("benchmarks", parameters, record)

# %% [markdown]
# ## What was found

# %% tags=["remove-input"]
Markdown(tables.sentences(prose.findings(records)))

# %% [markdown]
# ## W by factors and as a matrix
#
# Ten steps of the layer alone and the cut that ends them: losses, gradients into the activations, the step of W and b,
# an ensemble of five Nyström approximations cut to the rank. Time is per step; memory is the peak above that of the
# process with its batches.

# %%
own_tables.costs(records, "layer")

# %% [markdown]
# ## What the layers add to a training step
#
# The whole step of the ResNet-18, with both LR layers of 2-LR, cuts included, and without.

# %%
own_tables.costs(records, "step")

# %% [markdown]
# ## Projections
#
# One cut of a W as training leaves it, against the eigendecomposition by LAPACK (on a GPU, cuSOLVER) that the exact
# projection starts with. The relative error is the Frobenius norm of what is cut off over that of W.

# %%
own_tables.costs(records, "projection")

# %% [markdown]
# ## Precision
#
# A training step as it is done here (bf16 where the processor has it, channels_last, fused SGD) against the same step
# in plain fp32.

# %%
own_tables.costs(records, "precision")

# %% [markdown]
# ## Attacks
#
# PGD with 20 steps and DeepFool with ten classes on a ResNet-18 that tells ten noisy patterns apart, against foolbox
# on the same images: time, share of images that are fooled, and the mean relative size ρ of what was changed.

# %%
own_tables.costs(records, "pgd")

# %%
own_tables.costs(records, "deepfool")

# %% [markdown]
# ## Spectra
#
# All singular values of an activation matrix in fp32 by way of its Gram matrix, summed over batches of 256 rows in
# double precision, and the leading ones from a sketch with 256 random directions, against a dense decomposition of the
# whole matrix. The relative error is the largest of all values down to a thousandth of the largest one, of the sketch
# of the ten leading ones.

# %%
own_tables.costs(records, "spectrum")

# %% [markdown]
# Activations that are too many to be in memory and too wide for a Gram matrix are sketched. Here the error is the
# sketch's own bound: how much too small the variance ratio at ten directions can be.

# %%
own_tables.costs(records, "streamed_spectrum").rename(columns={"relative error": "error at most"})

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
Markdown(again.this_page("benchmarks", parameters))
