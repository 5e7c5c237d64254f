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
# # How the networks were trained
#
# The paper leaves open what a reader needs to train its networks: the weights of the two losses, how W and b start, how
# long their steps are. What this companion takes of these was chosen on held-out training images, never on test images;
# which settings diverge was measured; and the fast arithmetic that makes a CPU good enough was compared with plain
# fp32. These measurements take from minutes to hours, so the page shows their committed records, at the presets that
# have one, unless it is told to measure.

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
seeds: list[int] = None  # training seeds of each network
parts: list[str] = None  # what to measure
search_epochs: int = None  # epochs of each candidate of the search
stability_epochs: int = None  # epochs of each training of the stability table
parity_epochs: int = None  # epochs of each training in fp32 and bf16
measure: bool = None  # measure anew instead of showing the committed record
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, sections, tables
from lrlib.prose import training as prose
from lrlib.sections import training as section
from lrlib.tables import origins
from lrlib.tables import own as own_tables

plots.use_style()
Markdown(prose.claim())

# %% tags=["hide-input"]
parameters = section.Parameters.of(
    preset,
    seeds=seeds,
    parts=parts,
    search_epochs=search_epochs,
    stability_epochs=stability_epochs,
    parity_epochs=parity_epochs,
    measure=measure,
)

# %%
records = sections.standing("training", parameters, record)

# %% [markdown]
# ## The search
#
# A fifth of the training images is held out; each candidate is trained on the rest with one seed, on a shortened
# schedule except at `quick`. *Centred* is the variance ratio of the features less their mean, which a representation
# that is nearly the same for every image can't raise. The rule, for each variant: a setting counts if it lowers the
# rank, which is that its centred variance ratio at ten directions is above N-LR's at every place of the variant's LR
# layers. Of those that lose no more than a point of held-out accuracy against N-LR, the one with the highest ratio,
# averaged over the places, is taken; if all lose more, the most accurate one. The place `layer3` is before the fourth
# block, `avgpool` before the FC layer.

# %%
own_tables.by_preset(records, "search", own_tables.search)

# %% tags=["remove-input"]
Markdown(tables.sentences(prose.search(records)))

# %% [markdown]
# ## Stability
#
# Test accuracy in percent after a short training at each setting, or that the training diverged. *As written* is the
# paper's projection loss; *bounded* divides it by the root mean square of |a + b| where that is above one, which is what
# all records here are trained with.

# %%
own_tables.by_preset(records, "stability", own_tables.stability)

# %% tags=["remove-input"]
Markdown(tables.sentences(prose.stability(records)))

# %% [markdown]
# ## bf16 against fp32
#
# The same short training of N-LR in both precisions, from the same seeds, in percent of the test images. W and the
# losses of the LR layers are always in fp32.

# %%
own_tables.by_preset(records, "parity", own_tables.parity)

# %% tags=["remove-input"]
Markdown(tables.sentences(prose.parity(records)))

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
Markdown(again.this_page("training", parameters))
