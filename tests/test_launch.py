"""The book's buttons, and what a notebook needs elsewhere: only where a repository is known."""

import nbformat
import pytest
import yaml

from lrlib import launch, provenance

BOOK = provenance.ROOT / "_config.yml"
ADDRESS = "https://example.org/owner/name"


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setenv(launch.VARIABLE, ADDRESS)


def notebook():
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A page")])


def test_without_a_repository_nothing_is_added(monkeypatch, tmp_path):
    monkeypatch.delenv(launch.VARIABLE, raising=False)
    assert launch.configuration(BOOK, tmp_path / "config.yml") == [] and not list(tmp_path.iterdir())
    assert len(launch.prepared(notebook()).cells) == 1


@pytest.mark.parametrize("ending", ["", "/", ".git"])
def test_an_address_is_taken_with_every_usual_ending(monkeypatch, ending):
    monkeypatch.setenv(launch.VARIABLE, ADDRESS + ending)
    assert launch.repository() == ADDRESS


@pytest.mark.parametrize("wrong", ["owner/name", "http://example.org/owner/name", f"{ADDRESS}/more", "ssh://a/b/c"])
def test_what_is_no_address_is_refused(monkeypatch, wrong):
    monkeypatch.setenv(launch.VARIABLE, wrong)
    with pytest.raises(ValueError, match="expected LRLIB_REPOSITORY to be such as"):
        launch.repository()


def test_with_a_repository_the_configuration_has_the_buttons_and_all_that_it_had(known, tmp_path):
    options = launch.configuration(BOOK, tmp_path / "config.yml")
    assert options == ["--config", str(tmp_path / "config.yml")]
    before, after = yaml.safe_load(BOOK.read_text()), yaml.safe_load((tmp_path / "config.yml").read_text())
    assert after["repository"] == {"url": ADDRESS, "branch": "notebooks"}
    assert set(after["launch_buttons"]) == {*before["launch_buttons"], "colab_url", "binderhub_url"}
    assert after["html"].pop("use_repository_button") and not before["html"].pop("use_repository_button")
    changed = {"launch_buttons", "repository"}
    assert {k: v for k, v in after.items() if k not in changed} == {k: v for k, v in before.items() if k not in changed}


def test_with_a_repository_a_notebook_starts_by_fetching_it_and_the_book_hides_that(known):
    first, second = launch.prepared(notebook()).cells
    assert f"git clone --quiet --depth 1 {ADDRESS} " in first.source
    assert first.metadata.tags == ["remove-cell"] and second.source == "# A page"
