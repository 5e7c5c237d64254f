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
# # The LR layer
#
# *Section 2, figure 1, algorithms 1 and 2, and appendix B.* The method, equation by equation, each beside the lines of
# `lrlib` that compute it, which this page takes from the sources; then a network small enough to be watched while the
# spectrum of its representations collapses. What each symbol is called in the code stands on the page of
# [symbols](symbols).

# %% tags=["parameters"]
preset: str = "quick"  # chooses the default of every other parameter
seeds: list[int] = None  # training seeds of each network
examples: int = None  # test images, the first ones of the test set
dataset: str = None  # dataset of the small training
features: int = None  # hidden units, the width m of the activations
rank: int = None  # target rank r of the LR layer
before: int = None  # plain steps before the layer is put on
steps: int = None  # steps with the layer
shown: list[int] = None  # steps at which the spectrum is taken
directions: int = None  # leading directions of the spectrum to keep
lambda_c: float = None  # weight of the projection loss, the paper's λ1
lambda_n: float = None  # weight of the norm loss, the paper's λ2
learning_rate: float = None  # learning rate of the network's own SGD
batch_size: int = None  # images in a batch
size: int = None  # width m of the matrix that the projections cut
record: str = None  # file for the record; the preset's own if all parameters are at its defaults

# %% tags=["remove-input"]
from IPython.display import Markdown

from lrlib import again, plots, results, sections, tables
from lrlib.prose import lr_layer as prose
from lrlib.sections import lr_layer as section
from lrlib.tables import origins
from lrlib.tables import own as own_tables

plots.use_style()
Markdown(prose.claim())

# %% tags=["remove-input"] mystnb={"image": {"alt": "The network in a row; above its activations, dashed, the LR layer with W and b and its two losses, whose gradients go back into the activations"}}
plots.idea();

# %% [markdown]
# ## The problem
#
# The representations of a data set at a layer are the rows of a matrix $\mathbf A \in \mathbb R^{n \times m}$, one row
# $a_i$ for each of the $n$ examples. The network's first part, with weights $\phi$, makes them; the rest, with weights
# $\theta$, classifies them. Wanted is a network whose representations need few directions ({cite}`sanyal2018`, eq. 1):
#
# $$
# \min_{\theta, \phi} \mathcal L(\mathbf X, \mathbf Y; \theta, \phi)
# \quad \text{such that} \quad \operatorname{rank}(\mathbf A) = r.
# $$
#
# Training sees $\mathbf A$ a batch at a time, and a batch of low rank does not make the whole of low rank: each could
# lie in a subspace of its own. The way out is to ask it of a matrix that all batches share. Beside the network stand
# $\mathbf W \in \mathbb R^{m \times m}$, symmetric and of rank $r$, and $\mathbf b \in \mathbb R^m$ (eq. 2; it has no
# weights $\lambda_1$, $\lambda_2$, which algorithm 2 adds without saying their values):
#
# $$
# \min_{\theta, \phi, \mathbf W, \mathbf b} \mathcal L(\mathbf X, \mathbf Y; \theta, \phi)
# + \lambda_1 \mathcal L_c(\mathbf A; \mathbf W, \mathbf b) + \lambda_2 \mathcal L_n(\mathbf A)
# \quad \text{such that} \quad \operatorname{rank}(\mathbf W) = r.
# $$
#
# If $\mathcal L_c = 0$ on every batch, all representations lie in the range of $\mathbf W$, shifted by $-\mathbf b$: an
# affine subspace of dimension $r$ at most, whatever the batches were.
#
# ## The two losses
#
# The *projection loss* is how far $\mathbf W$ moves the shifted representations, the *norm loss* keeps the network from
# shrinking them to nothing, which would make the first one small, too (algorithm 2, lines 3, 6 and 7):
#
# $$
# \mathcal L_c = \frac1n \sum_i \bigl\| \mathbf W^\top (a_i + \mathbf b) - (a_i + \mathbf b) \bigr\|_2^2,
# \qquad
# \mathcal L_n = \frac1n \sum_i \bigl| 1 - \| a_i \|_2 \bigr| .
# $$
#
# {py:class}`~lrlib.lowrank.LowRank` gives both for a batch:

# %% tags=["remove-input"]
Markdown(prose.code("losses"))

# %% [markdown]
# and leaves the first to $\mathbf W$, which may be kept as a matrix ({py:class}`~lrlib.dense.Dense`) or by factors
# ({py:class}`~lrlib.factored.Factored`). As a matrix:

# %% tags=["remove-input"]
Markdown(prose.code("projection loss"))

# %% [markdown]
# ## Forward and backward: a virtual layer
#
# The layer passes the activations on as they are (algorithm 2, line 4). {py:func}`~lrlib.attachment.attach` therefore
# only listens: a hook on a module of the network keeps what it puts out, and nothing of the network is changed.

# %% tags=["remove-input"]
Markdown(prose.code("activations"))

# %% [markdown]
# The gradient that goes back into the network is that of the sum of all losses (lines 8 to 10), which automatic
# differentiation finds. Where the representations are large, the projection loss is divided by the root mean square of
# $\|a_i + \mathbf b\|$, a departure from the paper; where that is below one it is the paper's own.

# %% tags=["remove-input"]
Markdown(prose.code("weights"))

# %% [markdown]
# The whole of a training step, as this page's own experiment does it:

# %% tags=["remove-input"]
Markdown(prose.code("training"))

# %% [markdown]
# ## The step of W and b
#
# $\mathbf W$ and $\mathbf b$ take their own step, after that of the network (algorithm 1, line 5; algorithm 2, line 12):
#
# $$
# \mathbf W \leftarrow \mathbf W - \lambda\, \frac{\partial \mathcal L_c}{\partial \mathbf W},
# \qquad
# \frac{\partial \mathcal L_c}{\partial \mathbf W}
# = \frac1n \bigl( \tilde{\mathbf A}^\top \mathbf R + \mathbf R^\top \tilde{\mathbf A} \bigr)
# $$
#
# with $\tilde a_i = a_i + \mathbf b$ and the residual
# $\mathbf R = \tilde{\mathbf A} \mathbf W - \tilde{\mathbf A}$. This is the symmetric part of the gradient: appendix B.1 parametrises $\mathbf W = (\mathbf W_s + \mathbf W_s^\top)/2$,
# and a $\mathbf W$ that starts symmetric and steps along it is the same iteration.

# %% tags=["remove-input"]
Markdown(prose.code("gradient"))

# %% [markdown]
# The paper doesn't state the length of the step. The curvature of $\mathcal L_c$ in $\mathbf W$ is at most
# $2\,\mathbb E \|\tilde a\|^2$, so {py:meth}`~lrlib.lowrank.LowRank.step` divides by that energy: any step size below one
# is stable, however large the activations are.

# %% tags=["remove-input"]
Markdown(prose.code("step"))

# %% [markdown]
# Nor does it state where $\mathbf W$ and $\mathbf b$ start. Here $\mathbf b$ is minus the mean of the network's own
# representations when the layer is put on, and $\mathbf W$ the projector on their leading directions:

# %% tags=["remove-input"]
Markdown(prose.code("start"))

# %% [markdown]
# ## The cut of the rank
#
# A step of a batch adds to the rank of $\mathbf W$. Every ten steps it is cut (algorithm 1, line 6; algorithm 2,
# line 13; appendix B.1):
#
# $$
# \mathbf W \leftarrow \Pi_r(\mathbf W) = \operatorname*{arg\,min}_{\operatorname{rank}(\mathbf Z) \le r}
# \| \mathbf W - \mathbf Z \|_F^2 .
# $$
#
# Exactly, that keeps the $r$ eigenvalues of largest magnitude, for the price of a whole decomposition
# ({py:func}`~lrlib.nystrom.exact`):

# %% tags=["remove-input"]
Markdown(prose.code("exact"))

# %% [markdown]
# The paper spares that by a Nyström approximation (appendix B.2, eq. 3): $l = 2r$ columns $\mathbf C$ of $\mathbf W$ are
# drawn, and with them the square $\mathbf Z$ of their own rows;
#
# $$
# \mathbf W_r = \mathbf C\, \mathbf Z_r^+\, \mathbf C^\top
# = \sum_{j \le r} \frac1{d_j} (\mathbf C q_j)(\mathbf C q_j)^\top
# \quad \text{with} \quad \mathbf Z = \sum_j d_j\, q_j q_j^\top .
# $$
#
# {py:func}`~lrlib.nystrom.nystrom` leaves out what is no part of a positive semi-definite $\mathbf W$:

# %% tags=["remove-input"]
Markdown(prose.code("nystrom"))

# %% [markdown]
# and {py:func}`~lrlib.nystrom.ensemble` averages $t$ of them. Such an average has rank up to $t\,r$, so it is cut once
# more, within the span that the members already have:

# %% tags=["remove-input"]
Markdown(prose.code("ensemble"))

# %% [markdown]
# ## W by factors
#
# Between two cuts $\mathbf W$ is of rank $r$ plus what the batches since have added, so it never has to be formed:
# $\mathbf W = \mathbf V^\top \mathbf K \mathbf V$, with a row of $\mathbf V$ for each direction and each example seen. With
# the image $\tilde{\mathbf A} \mathbf W = \mathbf C \mathbf V$ and a step of length $s$,
#
# $$
# \mathbf V \leftarrow \begin{pmatrix} \mathbf V \\ \tilde{\mathbf A} \end{pmatrix}, \qquad
# \mathbf K \leftarrow \begin{pmatrix} \mathbf K & -s\, \mathbf C^\top \\ -s\, \mathbf C & 2 s\, \mathbf I \end{pmatrix} :
# $$

# %% tags=["remove-input"]
Markdown(prose.code("factored step"))

# %% [markdown]
# ## Algorithm 1, line by line
#
# | line | the paper | in `lrlib` |
# | --- | --- | --- |
# | 1 | $\mathbf Z \leftarrow (\mathbf A + \mathbf b)^\top \mathbf W$ | {py:meth}`Dense.loss <lrlib.dense.Dense.loss>`, {py:meth}`Factored.loss <lrlib.factored.Factored.loss>` |
# | 2 | $\mathcal L_c \leftarrow \frac1b \lVert \mathbf Z - (\mathbf A + \mathbf b) \rVert_2^2$ | the same |
# | 3 | $\mathcal L_n \leftarrow \frac1b \sum_i \lvert 1 - \lVert a_i \rVert \rvert$ | {py:meth}`LowRank.forward <lrlib.lowrank.LowRank.forward>` |
# | 4 | $\mathbf g \leftarrow \mathbf g_\ell + \frac1b \sum_i \partial (\mathcal L_c + \mathcal L_n) / \partial a_i$ | `backward()` of {py:meth}`Attachment.loss <lrlib.attachment.Attachment.loss>` |
# | 4 | $\mathbf g_W \leftarrow \partial \mathcal L_c / \partial \mathbf W$ | {py:meth}`Dense.descend_ <lrlib.dense.Dense.descend_>`, {py:meth}`Factored.descend_ <lrlib.factored.Factored.descend_>` |
# | 5 | $\mathbf W \leftarrow \mathbf W - \lambda\, \mathbf g_W$ | {py:meth}`LowRank.step <lrlib.lowrank.LowRank.step>` |
# | 6 | $\mathbf W \leftarrow \Pi_r(\mathbf W)$ | the same, every ten steps; {py:meth}`LowRank.project_ <lrlib.lowrank.LowRank.project_>` |
#
# The step of $\mathbf b$ stands in neither algorithm. Here it takes half of `step_size` times the gradient in
# $\mathbf b$, with the new $\mathbf W$; that of $\mathbf W$ takes `step_size`, over the mean square of
# $\|a_i + \mathbf b\|$, times its gradient.

# %% [markdown]
# ## Measurement
#
# A network of one hidden layer is trained plainly for a few steps; then it goes on with an LR layer on its hidden
# activations and, from the same weights and on the same batches, without.

# %% tags=["hide-input"]
parameters = section.Parameters.of(
    preset,
    seeds=seeds,
    examples=examples,
    dataset=dataset,
    features=features,
    rank=rank,
    before=before,
    steps=steps,
    shown=shown,
    directions=directions,
    lambda_c=lambda_c,
    lambda_n=lambda_n,
    learning_rate=learning_rate,
    batch_size=batch_size,
    size=size,
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
# These are small images and one hidden layer: enough to see the method at work, and no verdict on the paper. What it does to the paper's networks is on the [next page](effective_rank).

# %% [markdown]
# ## The spectrum, step by step
#
# Each line is the spectrum of the representations of the test images after some steps. Look at what is right of the
# dotted line, direction $r + 1$: the layer has $r$ directions and the shift $\mathbf b$.

# %% mystnb={"image": {"alt": "Share of the energy of each direction, a line for each step: without the layer the lines stay together, with it those of later steps drop behind direction r + 1"}}
plots.of_each(plots.collapse, records);

# %% [markdown]
# The variance ratio at $r + 1$, the accuracy, and the layer's two losses on the way:

# %% mystnb={"image": {"alt": "Variance ratio, accuracy and both losses against the steps, with the layer and without"}}
plots.of_each(plots.course, records);

# %% [markdown]
# ## W between the cuts
#
# After each of the first steps: the number of eigenvalues of $\mathbf W$ that are not rounding, and the share of its norm
# that is not in the leading $r$. The cut takes that off.

# %% mystnb={"image": {"alt": "The rank of W jumps after the first step and is back at r after each tenth; the share beyond rank r grows in between"}}
plots.of_each(plots.window, records);

# %% [markdown]
# ## Exact against Nyström against ensemble
#
# The same $\mathbf W$, as ten steps on made-up activations with a falling spectrum leave it just before a cut, in the width and to the rank of the paper's layer before
# the FC layer. The error is the Frobenius norm of what is cut off over that of $\mathbf W$, a mean over seeds. The
# times are those of this execution, on this machine; only their ratios say something, and no record keeps them.

# %%
prose.timed(measured, section.seconds(parameters))

# %% [markdown]
# ## What a dense and a factored W cost

# %% tags=["remove-input"]
Markdown(prose.counted(measured))

# %% [markdown]
# Measured at the paper's size, ten steps and a cut each; the page on [costs](benchmarks) has more:

# %%
own_tables.costs(results.committed("benchmarks"), "layer")

# %% [markdown]
# ## What of the paper is here
#
# Figure 1 is a drawing, and the picture above is the book's own.

# %% tags=["remove-input"]
tables.matrix("lr_layer")

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
Markdown(again.this_page("lr_layer", parameters))
