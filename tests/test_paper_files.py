import pytest

from lrlib import paper


def test_an_unknown_table_is_named_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"^expected one of .*table1, .*post_table2\), got 'table11'$"):
        paper.table("table11")


@pytest.mark.parametrize("load", [lambda: paper.table("table7a"), paper.artefacts, paper.findings])
def test_a_missing_file_is_named_in_one_sentence(load, tmp_path, monkeypatch):
    monkeypatch.setattr(paper, "DATA", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^.*paper/\w+\.csv is missing;.*$"):
        load()


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("true", "yes"),
        ("89.8", "89,8"),
        ("89.8", "n/a"),
        ("variant", "model"),
        ("2-LR", '"2-LR'),
        ("2-LR", "\xff"),
        ("vgg19,", ""),
    ],
)
def test_a_damaged_file_is_named_in_one_sentence(good, bad, tmp_path, monkeypatch):
    text = (paper.DATA / "paper" / "table7a.csv").read_text(encoding="utf-8")
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "table7a.csv").write_text(text.replace(good, bad, 1), encoding="latin-1")
    monkeypatch.setattr(paper, "DATA", tmp_path)
    with pytest.raises(ValueError, match=r"^.*table7a\.csv is damaged: .*$"):
        paper.table("table7a")


def test_an_empty_file_is_damaged(tmp_path, monkeypatch):
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "table7a.csv").touch()
    monkeypatch.setattr(paper, "DATA", tmp_path)
    with pytest.raises(ValueError, match=r"^.*table7a\.csv is damaged: lacks the columns .*$"):
        paper.table("table7a")
