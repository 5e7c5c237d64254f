"""The command at the end of a page repeats the run, and the files it points to are there."""

import json
import re
import shlex

import pytest

from lrlib import again, results, sections

PAGES = (*sections.PAGES, *sections.STANDING)
OTHERS = [
    ("svd_truncation", {"seeds": [3, 1], "fraction": [0.0, 0.25], "scale": [0.5]}),
    ("adversarial", {"eps": ["1/255", "0.5/255"], "random_start": False, "unit": "normalized by image", "clip": True}),
    ("noise_stability", {"seeds": [7], "probability": [0.1], "level": "64/255"}),
    ("effective_rank", {"dataset": "folder:a, b/c", "part": "train"}),
]


def parsed(page, line):
    """The parameters that the command's words give."""
    program, run, name, *words = shlex.split(line)
    assert (program, run, name) == (".venv/bin/lrlib", "run", page)
    assert words[::3] == ["-p"] * (len(words) // 3)
    return sections.get(page).Parameters.parse(dict(zip(words[1::3], words[2::3], strict=True)))


@pytest.mark.parametrize("preset", ["quick", "small", "paper"])
@pytest.mark.parametrize("page", PAGES)
def test_at_the_defaults_the_command_names_the_preset_alone(page, preset):
    parameters = sections.get(page).Parameters.of(preset)
    line = again.command(page, parameters)
    assert line == f".venv/bin/lrlib run {page} -p preset {preset}"
    assert parsed(page, line) == parameters


@pytest.mark.parametrize("page, given", OTHERS, ids=[page for page, _ in OTHERS])
def test_the_command_gives_the_parameters_of_the_run_back(page, given):
    parameters = sections.get(page).Parameters.of("quick", **given)
    line = again.command(page, parameters)
    assert parsed(page, line) == parameters
    assert set(re.findall(r"-p (\w+)", line)) <= {"preset", *given}


def test_a_list_whose_parts_have_commas_is_given_as_json():
    assert json.loads(again._text(["a,b", "c"])) == ["a,b", "c"]


@pytest.mark.parametrize("page", PAGES)
def test_the_end_of_a_page_links_to_the_records_that_are_committed(page):
    text = again.this_page(page, sections.get(page).Parameters.of("quick"))
    linked = re.findall(rf"records/(\w+)/{page}\.csv", text)
    assert linked == list(results.committed(page))
