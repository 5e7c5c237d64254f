"""The paper's other networks: once they are measured, every table and figure about them shows their numbers."""

import ast

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lrlib import pages, paper, presets, results, sections, tables
from lrlib.claims import of_other_networks
from lrlib.claims.predicates import judge
from lrlib.prose import compression as compression_prose
from lrlib.results import Record
from lrlib.sections import cushions

VALUES = {network: 0.111 + 0.1 * place for place, network in enumerate(presets.get("paper").others)}
VGG, SVHN, VGG_SVHN = ("vgg19", "cifar10"), ("resnet18", "svhn"), ("vgg19", "svhn")
DEEP, DEEP_COARSE, DEEP_FINE = (("resnet50", name) for name in ("cifar10", "cifar100-coarse", "cifar100-fine"))
WIDTH = 128  # of the representations before the FC layer at small


def shown(network):
    """An accuracy of a made-up network as tables have it, all seeds alike."""
    return f"{100 * VALUES[network]:.1f}"


def renamed(row, network):
    """The row as the section writes it for another network, whose artefacts are others; None where it has none such."""
    name, metric = row["artefact"], row["metric"]
    if name in ("table7b", "figure6a", "figure6b"):  # here of what stands in for SVHN
        return row if network == SVHN else None
    if network[0] == "vgg19" and name in ("figure2a", "figure2b"):
        accuracy = "table7b" if network == VGG_SVHN else "table7a"
        tap = {"figure2a": "classifier.4", "figure2b": "avgpool"}[name]
        return row | ({"artefact": accuracy} if metric == "accuracy" else {"artefact": "figure5", "tap": tap})
    if network == SVHN and name in ("figure2a", "figure2b"):
        return None
    if network[0] == "vgg19":
        return row | {"artefact": {"table5b": "table8"}.get(name, name)}
    if network == DEEP_COARSE and name == "table5b":
        return None
    return row | {"artefact": cushions.figure(name, network[1])}


def transferred(rows):
    """Table 7(c): on the labels that the network was trained on and on finer ones, with a bottleneck as well."""
    full = [row for row in rows if row["artefact"] == "table5a" and row["dim"] == WIDTH]
    full += [row | {"variant": "Bottle-1LR"} for row in full if row["variant"] == "1-LR"]
    return [row | {"artefact": "table7c", "dataset": name} for row in full for name in (DEEP_COARSE[1], DEEP_FINE[1])]


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """A page's record at ``paper`` that has all networks, made of the committed one at ``small``; and the main part."""

    def make(page):
        small = results.committed(page)["small"]
        first = small.runs[0]

        def run(name, arch, dataset):
            parameters = first["parameters"] | {"arch": arch, "dataset": dataset, "preset": "paper"}
            return first | {"id": name, "parameters": parameters}

        runs = [run("own", "resnet18", "cifar10")]
        rows = [row | {"run": "own"} for row in small.rows]
        for place, (network, value) in enumerate(VALUES.items()):
            runs.append(run(str(place), *network))
            about = {"arch": network[0], "dataset": network[1], "run": str(place)}
            for row in small.rows:
                number = {"value": value} if "accuracy" in row["metric"] else {}
                if (one := renamed(row | number, network)) is not None:
                    rows.append(one | about)
            if page == "compression" and network == DEEP_COARSE:
                rows += transferred([row for row in rows if row["run"] == str(place)])
        monkeypatch.setattr(results, "RESULTS", tmp_path)
        record = Record(page, "paper", runs, rows)
        record.save(results.path(page, "paper"))
        return record

    return make


@pytest.fixture
def outputs(whole, monkeypatch):
    """What a page shows, cell by cell: the source, and its tables, texts and the notes of its figures."""

    def show(page):
        record = whole(page)
        section = sections.get(page)
        monkeypatch.setattr(section, "measure", lambda parameters: record.main())
        monkeypatch.setattr(sections, "keep", lambda *given: None)
        names, found = {}, []
        for cell in pages.notebook(page).cells:
            if cell.cell_type != "code":
                continue
            *body, last = ast.parse(cell.source).body
            whole_cell = not isinstance(last, ast.Expr)
            exec(compile(ast.Module([*body, *([last] if whole_cell else [])], []), page, "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names["preset"] = "paper"
            if not whole_cell:
                value = eval(compile(ast.Expression(last.value), page, "eval"), names)
                notes = [figure._supxlabel.get_text() for figure in map(plt.figure, plt.get_fignums())]
                found.append((cell.source, value if isinstance(value, pd.DataFrame) else None, notes))
                plt.close("all")
        return found

    return show


def table_of(found, source):
    (table,) = [table for text, table, _ in found if source in text and table is not None]
    return table


def notes_of(found, source):
    return [note for text, _, notes in found if source in text for note in notes]


def cells(table):
    return set(map(str, table.to_numpy().ravel()))


def test_each_network_has_a_record_of_its_own_under_its_name(whole):
    record = whole("noise_stability")
    found = tables.of_other_networks(record.main())
    assert len(found) == len(VALUES)
    for heading, (arch, dataset) in zip(found, VALUES, strict=True):
        assert heading.startswith(f"paper record, {arch} on {dataset}")
        assert {(row["arch"], row["dataset"]) for row in found[heading].rows} == {(arch, dataset)}
    (one,) = tables.of_other_networks(record.main(), VGG, ("vgg19", "nothing")).values()
    assert one.rows == [row for row in record.rows if (row["arch"], row["dataset"]) == VGG]


def test_this_runs_own_rows_are_not_among_the_others(whole):
    record = whole("noise_stability")
    deep = tables.of_other_networks(record.main(), DEEP)
    assert not tables.of_other_networks(next(iter(deep.values())), DEEP)


def test_effective_rank_shows_vgg_and_svhn(outputs):
    found = outputs("effective_rank")
    assert shown(VGG) in cells(table_of(found, '"table7a"'))
    assert {shown(SVHN), shown(VGG_SVHN)} <= cells(table_of(found, '"table7b"'))
    assert any("vgg19 on cifar10" in note for note in notes_of(found, '"figure5"'))
    assert any("preset paper · svhn" in note for note in notes_of(found, '"figure6a"'))
    assert not any("svhn" in note for note in notes_of(found, '"figure2a"'))


def test_compression_shows_resnet50_and_vgg(outputs):
    found = outputs("compression")
    assert shown(DEEP_COARSE) in cells(table_of(found, 'by_dimension("table5a"'))
    assert shown(DEEP) not in cells(table_of(found, 'by_dimension("table5a"'))
    assert shown(VGG) in cells(table_of(found, 'by_dimension("table8"'))
    assert shown(DEEP_COARSE) in cells(table_of(found, 'beside("table7c"'))
    assert any("resnet50 on cifar100-coarse" in note for note in notes_of(found, "plots.plane"))


def test_the_transfer_is_told_where_it_was_measured_and_called_skipped_elsewhere(whole):
    record = whole("compression")
    note = paper.artefacts().set_index("artefact").loc["table7c", "paper_note"]
    assert compression_prose.transfer({"paper record": record.main()}) == f"Skipped: at `paper`, {note}."
    deep = tables.of_other_networks(record.main(), DEEP_COARSE)
    told = compression_prose.transfer({"paper record": record.main()} | deep)
    assert told.startswith("**From coarse to fine labels**") and told.count(shown(DEEP_COARSE)) == 4 * 2


def test_noise_stability_shows_resnet50_and_svhn(outputs):
    found = outputs("noise_stability")
    deep = table_of(found, 'arch="resnet50"')
    assert cells(deep.loc[:, [name for name in deep if "paper record" in name[1]]]) == {f"{shown(DEEP)} ± 0.0"}
    for drawn in ("plots.propagation", "plots.block_cushions"):
        assert any("svhn" in note for note in notes_of(found, drawn))


def test_adversarial_shows_the_rest_of_table_1_and_table_9(outputs):
    table = table_of(outputs("adversarial"), "of_other_networks_beside_paper")
    for name, network in (("table1", DEEP), ("table1", DEEP_COARSE), ("table9", DEEP_FINE)):
        part = table.loc[(name, *network)]
        own = part.loc[("white box", "8/255", 7), ("1-LR", "paper record")]
        assert own == f"{shown(network)} ± 0.0"
        assert part["1-LR", "paper"].ne("").any()


def test_figure_9_is_of_vgg_and_svhn(outputs):
    notes = notes_of(outputs("adversarial"), "plots.ladder")
    assert sum("vgg19 on cifar10" in note for note in notes) == 1
    assert sum("· svhn" in note for note in notes) == 1


@pytest.mark.parametrize("claim", list(of_other_networks.of_other_networks()), ids=lambda claim: claim.id)
def test_every_claim_about_them_has_a_verdict_and_nothing_stands_in(claim, whole):
    found = judge(claim.published, {claim.page: whole(claim.page)}, "paper")
    assert found.seeds == 3 and found.verdict in ("reproduced", "not reproduced", "inconclusive")
    assert not found.stand_in


def test_where_no_other_network_is_measured_the_papers_numbers_stand_alone(tmp_path, monkeypatch):
    record = results.committed("adversarial")["small"]
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    table = tables.of_other_networks_beside_paper(
        record,
        [("table9", *DEEP_FINE)],
        ours="table1",
        metric="adversarial_accuracy",
        rows=["setting", "eps", "steps"],
    )
    assert set(table.columns.get_level_values(1)) == {"paper"} and cells(table) - {""}
