"""What was measured before an interruption is not measured again."""

import pytest
import torch

from lrlib import sections, zoo
from lrlib.journal import Journal
from lrlib.sections.measuring import Bench


def refuse():
    raise AssertionError("computed again")


def test_a_part_is_computed_once_also_by_the_next_process(tmp_path):
    assert Journal(tmp_path, "a").once("part", lambda: [1, 2.5, True]) == [1, 2.5, True]
    again = Journal(tmp_path, "a")
    assert again.once("part", refuse) == [1, 2.5, True] and again.once("other", lambda: "new") == "new"


def test_another_measurement_has_another_journal(tmp_path):
    Journal(tmp_path, {"seeds": [0]}).once("part", lambda: 1)
    assert Journal(tmp_path, {"seeds": [1]}).once("part", lambda: 2) == 2
    assert Journal(tmp_path, {"seeds": [0]}).once("part", refuse) == 1


def test_a_line_that_was_being_written_is_as_if_it_were_not_there(tmp_path):
    first = Journal(tmp_path, "a")
    first.once("one", lambda: 1)
    first.once("two", lambda: 2)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text()[:-3])
    second = Journal(tmp_path, "a")
    assert second.once("one", refuse) == 1 and second.once("two", lambda: 22) == 22
    assert Journal(tmp_path, "a").once("two", refuse) == 22


def test_a_closed_journal_leaves_nothing_behind(tmp_path):
    journal = Journal(tmp_path, "a")
    journal.once("part", lambda: 1)
    journal.close()
    assert not list(tmp_path.iterdir())
    Journal(tmp_path / "never written", "a").close()


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "inside", "a")
    assert journal.once("part", lambda: 1) == 1 and journal.once("part", refuse) == 1
    assert Journal(tmp_path / "file" / "inside", "a").once("part", lambda: 2) == 2


def test_what_json_does_not_keep_is_refused_at_once(tmp_path):
    with pytest.raises(TypeError):
        Journal(tmp_path, "a").once("part", lambda: torch.zeros(1))


# Images in batches


@pytest.fixture
def bench(tiny):
    def make():
        parameters = sections.get("adversarial").Parameters.of("quick", seeds=[0], examples=50)
        return Bench("adversarial", parameters, device="cpu", dataset="digits", progress=False)

    return make


def test_an_interruption_loses_the_batch_it_came_in(bench):
    seen = []

    def measure(x, y, generator):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(len(x))
        return {"label": y.tolist(), "draw": torch.rand(len(x), generator=generator).tolist()}

    one = bench()
    with pytest.raises(KeyboardInterrupt):
        one.in_batches("labels", [], one.x, one.y, measure, batch_size=10)
    seen[:] = []
    two = bench()
    found = two.in_batches("labels", [], two.x, two.y, measure, batch_size=10)
    assert seen == [10, 10]  # the two batches that were missing
    assert found["label"].tolist() == two.y.tolist()
    two.record()
    whole = bench()
    seen[:] = [0] * 4
    assert (whole.in_batches("labels", [], whole.x, whole.y, measure, batch_size=10)["draw"] == found["draw"]).all()
    whole.record()


def test_the_draws_of_a_batch_depend_on_what_is_measured(bench):
    def measure(x, y, generator):
        return {"draw": torch.rand(len(x), generator=generator).tolist()}

    one = bench()
    first, second = (one.in_batches(name, [], one.x, one.y, measure)["draw"] for name in ("first", "second"))
    assert (first != second).all()
    one.record()


def test_a_finished_measurement_leaves_no_journal(measured, tiny):
    assert "adversarial" in measured and not list((zoo.folder() / "unfinished").glob("*.jsonl"))
