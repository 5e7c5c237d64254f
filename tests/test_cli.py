"""The command: exit codes, one sentence for a mistake, and nothing done before it is found."""

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import fields, replace

import pandas as pd
import pytest

from lrlib import claims, cli, pages, presets, provenance, reproduce, results, scoreboard, sections, side_by_side, zoo
from lrlib.data import DatasetError
from lrlib.train import TrainingDiverged


@pytest.fixture
def lrlib(capsys):
    """Runs the command: exit code, standard output, standard error."""

    def command(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code or 0, captured.out, captured.err

    return command


@pytest.fixture
def untouched(monkeypatch):
    """Nothing may be trained or executed."""

    def touched(*arguments, **keywords):
        raise AssertionError("trained or executed something")

    monkeypatch.setattr(zoo, "find_or_train", touched)
    monkeypatch.setattr(zoo.train, "train", touched)
    monkeypatch.setattr(pages, "execute", touched)
    monkeypatch.setattr(pages.papermill, "execute_notebook", touched)


@pytest.fixture
def refused(lrlib, untouched, tmp_path):
    """The sentence with which a mistake ends the command, before anything is done."""

    def command(*arguments):
        code, out, err = lrlib(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("lrlib: ") and err.count("\n") == 1 and err.endswith("\n")
        assert "Traceback" not in err and "[Errno" not in err
        return err.removeprefix("lrlib: ").strip()

    return command


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run"], "Missing argument 'PAGE'."),
        (["fly"], "No such command 'fly'."),
        (["train", "--fast"], "No such option '--fast'."),
        (["run", "nope"], "expected a page among lr_layer, effective_rank, .*, got 'nope'"),
        (["results", "nope"], "expected a page among lr_layer, effective_rank, .*, got 'nope'"),
        (["run", "adversarial", "-p", "seed", "0"], "expected parameters among preset, seeds, .*, got seed"),
        (["run", "adversarial", "-p", "seeds", "a"], 'expected seeds to be a list of whole numbers, got "a"'),
        (["run", "adversarial", "-p", "seeds", "[]"], "expected seeds to be a list .* that is not empty, got \\[\\]"),
        (["run", "adversarial", "-p", "seeds=0", "1"], "expected parameters among .*, got seeds=0"),
        (["run", "adversarial", "-p", "examples", "1.5"], "expected examples to be a whole number, got 1.5"),
        (["run", "adversarial", "-p", "examples", "0"], "expected examples to be a whole number from 1 on, got 0"),
        (["run", "adversarial", "-p", "examples", "601"], "expected examples to be at most 600, .*, got 601"),
        (["run", "adversarial", "-p", "eps", "2"], 'expected eps to be radii in \\(0, 1\\] .*, got \\["2"\\]'),
        (["run", "adversarial", "-p", "random_start", "no"], 'expected random_start to be true or false, got "no"'),
        (["run", "adversarial", "-p", "preset", "huge"], "expected a preset among quick, small, paper, got 'huge'"),
        (
            ["run", "svd_truncation", "-p", "fraction", "0,NaN"],
            "expected fraction to be numbers in .*, got \\[0, NaN\\]",
        ),
        (
            ["run", "adversarial", "-p", "steps", "1", "-p", "steps", "2"],
            "expected each parameter once, got steps, steps",
        ),
        (["book", "--preset", "huge"], "expected a preset among quick, small, paper, got 'huge'"),
        (["book", "--budget", "0"], "expected a budget of more than 0 minutes, got 0.0"),
        (["train", "--preset", "huge"], "expected a preset among quick, small, paper, got 'huge'"),
        (["train", "--model", "3-LR"], "expected a variant among N-LR, 1-LR, 2-LR, .*, got '3-LR'"),
        (["train", "--seeds", "a"], 'expected seeds to be a list of whole numbers, got "a"'),
        (["train", "--seeds", ""], 'expected seeds to be a list of whole numbers, got ""'),
        (["train", "--seeds", "-1"], "expected seeds to be whole numbers from 0 to 4294967295, got \\[-1\\]"),
        (["train", "--device", "abacus"], "expected auto, cpu or a device that this machine has, got 'abacus'"),
        (["results", "--preset", "huge"], "expected a preset among quick, small, paper, got 'huge'"),
        (["run", "adversarial", "-p", "arch", "1L"], 'expected arch to be one of resnet18, .*, vgg19, got "1L"'),
        (["run", "adversarial", "-p", "dataset", "cifar"], 'expected dataset to be one of digits, .*, got "cifar"'),
        (["run", "adversarial", "-p", "epochs", "0"], "expected epochs to be a whole number from 1 on, got 0"),
        (["run", "controls", "-p", "rank", "5,129"], "expected rank to be at most 128, the features there, got 129"),
        (["run", "training", "-p", "parts", "rest"], 'expected parts to be some of search, .*, got \\["rest"\\]'),
        (["run", "benchmarks", "-p", "seeds", "0"], "expected parameters among preset, parts, .*, got seeds"),
        (["train", "--epochs", "0"], "Invalid value for '--epochs': 0 is not in the range x>=1."),
        (["train", "--epochs", "few"], "Invalid value for '--epochs': 'few' is not a valid integer range."),
        (["reproduce", "--budget", "1", "--epochs", "0"], "Invalid value for '--epochs': 0 is not in the range x>=1."),
        (["train", "a/b", "c"], r"Got unexpected extra argument \(c\)"),
    ],
    ids=" ".join,
)
def test_a_mistake_ends_the_command_with_a_sentence(refused, arguments, sentence):
    assert re.fullmatch(sentence, refused(*arguments))


@pytest.mark.parametrize("command", [["run", "adversarial", "-p", "preset", "small"], ["book", "--preset", "paper"]])
def test_a_missing_dataset_ends_the_command_before_anything_starts(refused, command, tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_DATA", str(tmp_path))
    sentence = refused(*command)
    assert sentence.startswith(f"cifar10 is not in {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_dataset_ends_a_training(lrlib, tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_DATA", str(tmp_path))
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path / "models"))
    code, out, err = lrlib("train", "--preset", "small", "--device", "cpu")
    assert (code, out) == (2, "") and err.startswith("lrlib: cifar10 is not in") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_is_refused_before_anything_starts(refused, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "out", tmp_path / "file" / "deep" / "out"):
        sentence = refused("run", "svd_truncation", "-o", folder)
        assert sentence == f"expected a folder that can be written, got {folder}: Not a directory"
    assert "is a file" in refused("run", "svd_truncation", "-o", tmp_path / "file")


def test_a_folder_that_cant_be_written_is_refused_before_anything_starts(refused, tmp_path, monkeypatch):
    def denied(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(cli.tempfile, "TemporaryFile", denied)
    folder = tmp_path / "out"
    sentence = f"expected a folder that can be written, got {folder}: Permission denied"
    assert refused("run", "svd_truncation", "-o", folder) == sentence
    assert refused("run", "svd_truncation") == sentence.replace(str(folder), str(pages.BOOK))


@pytest.fixture
def spec_file(tmp_path):
    """A file with this content."""

    def write(content):
        file = tmp_path / "spec.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return write


CONTENT = presets.spec("quick", "1-LR", 0).content() | {"width": 2, "epochs": 0}


@pytest.mark.parametrize("option", [("--model", "1-LR"), ("--seeds", "0"), ("--epochs", "1"), ("--preset", "quick")])
def test_a_specification_and_an_option_that_chooses_another_are_refused(refused, option, spec_file):
    expected = f"expected a specification or the options {option[0]}, got both"
    assert refused("train", spec_file(CONTENT), *option) == expected


def test_a_specification_that_is_not_there_is_named(refused, tmp_path):
    missing = tmp_path / "none.json"
    assert refused("train", missing) == f"expected a specification at {missing}: No such file or directory"
    assert "is a directory" in refused("train", tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "\x00",
        [],
        5,
        None,
        "null",
        {},
        {"spec": {}},
        {"spec": None},
        {name: value for name, value in CONTENT.items() if name != "seed"},
        CONTENT | {"colour": "red"},
        CONTENT | {"variant": "3-LR"},
        CONTENT | {"lr": None},
        CONTENT | {"lr": "leading"},
        CONTENT | {"lr": 5},
        CONTENT | {"lr": CONTENT["lr"] | {"ranks": 5}},
        CONTENT | {"lr": CONTENT["lr"] | {"step_size": 1}},
    ],
    ids=repr,
)
def test_a_file_that_is_no_specification_is_named(refused, spec_file, content):
    file = spec_file(content)
    assert refused("train", file).startswith(f"expected a specification at {file}: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("dataset", 5), ("size", "8"), ("width", "2"), ("seed", "x"), ("seed", -1), ("seed", 1.5), ("epochs", "1")),
        *(("epochs", 1.5), ("batch_size", "8"), ("batch_size", 1.5), ("learning_rate", "fast"), ("milestones", 5)),
        *(("milestones", "ab"), ("milestones", ["a"]), ("momentum", None), ("weight_decay", "no"), ("precision", 16)),
        *(("lambda_c", "much"), ("lambda_c", -1.0), ("lambda_n", None), ("from_epoch", "1"), ("ranks", [0])),
        *(("ranks", ["a"]), ("cut_every", "10"), ("members", "5"), ("bounded", "no")),
    ],
)
def test_a_field_of_the_wrong_type_or_out_of_range_is_refused_before_anything_is_trained(
    refused, spec_file, field, value
):
    wrong = {"lr": CONTENT["lr"] | {field: value}} if field in CONTENT["lr"] else {field: value}
    file = spec_file(CONTENT | wrong)
    assert refused("train", file).startswith(f"expected a specification at {file}: ")


def test_a_mistake_leaves_nothing_behind(refused, tmp_path):
    refused("run", "svd_truncation", "-p", "examples", "601", "-o", tmp_path / "out")
    refused("run", "svd_truncation", "-p", "seeds", "x", "-o", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_record_is_named(refused, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    file = results.path("adversarial", "quick")
    assert refused("results", "adversarial") == (
        f"expected a record at {file}, can't read it: No such file or directory"
    )
    file.parent.mkdir()
    file.write_text('{"page": "adversarial"}')
    sentence = f"expected a record at {file}, found a broken one: it has no preset, runs, rows"
    assert refused("results", "adversarial") == sentence
    assert refused("results") == sentence


def test_jupyter_book_is_looked_for_before_the_pages_are_executed(refused, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert (
        refused("book") == f"expected jupyter-book at {tmp_path / 'jupyter-book'}, which lrlib's extra 'book' installs"
    )


# Failures


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (pages.PageFailed("adversarial stopped at cell 3: ValueError: no"), 1),
        (TrainingDiverged("expected a finite loss, got nan"), 1),
        (DatasetError("cifar10 is damaged"), 2),
        (results.RecordError("expected a record"), 2),
        (OSError("expected a folder for models"), 2),
    ],
)
def test_a_failure_has_its_own_code_and_says_what_it_was(lrlib, monkeypatch, error, code):
    def fail(*arguments, **keywords):
        raise error

    monkeypatch.setattr(zoo, "find_or_train", fail)
    assert lrlib("train", "--seeds", "0", "--model", "N-LR") == (code, "", f"lrlib: {error}\n")


def test_a_command_that_is_interrupted_says_so(lrlib, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(zoo, "find_or_train", interrupted)
    code, _, err = lrlib("train", "--seeds", "0")
    assert code == 130 and err.strip() == "lrlib: stopped"


def test_a_bug_is_shown_as_one(lrlib, monkeypatch):
    monkeypatch.setattr(zoo, "find_or_train", lambda *arguments, **keywords: {}["bug"])
    with pytest.raises(KeyError):
        lrlib("train", "--seeds", "0")


def test_a_page_that_fails_ends_the_command_with_one_and_leaves_no_notebook(lrlib, tiny, tmp_path, monkeypatch):
    source = pages.source("svd_truncation").read_text()
    start = source.index("from IPython")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "svd_truncation.py").write_text(source[:start] + 'raise ValueError("expected better")\n')
    monkeypatch.setattr(pages, "BOOK", tmp_path / "book")
    monkeypatch.setattr(zoo, "find_or_train", lambda *arguments, **keywords: None)
    code, out, err = lrlib("run", "svd_truncation", "-p", "seeds", "0", "-o", tmp_path / "out")
    assert (code, out) == (1, "")
    assert err == "lrlib: svd_truncation stopped at cell 3: ValueError: expected better\n"
    assert not (tmp_path / "out").exists()


# What works


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["run", "--help"], ["train", "-h"]])
def test_help_is_no_mistake(lrlib, arguments):
    code, out, err = lrlib(*arguments)
    assert (code, err) == (0, "") and out.startswith("Usage: lrlib")


def test_the_package_is_the_command():
    done = subprocess.run([sys.executable, "-m", "lrlib", "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("book", "results", "run", "train"):
        assert f"\n  {name} " in done.stdout


def test_a_pages_parameters_are_listed_without_running_it(lrlib, untouched):
    code, out, _ = lrlib("run", "adversarial", "-p", "seeds", "7,8", "-p", "preset", "small", "--list")
    lines = out.splitlines()
    assert code == 0 and len(lines) == len(fields(sections.get("adversarial").Parameters))
    assert lines[1].startswith("parameter: seeds  type: a list of whole numbers  value: [7, 8]  default at small: ")


def test_a_presets_models_are_trained_once(lrlib, tiny, monkeypatch):
    arguments = ("train", "--preset", "quick", "--model", "1-LR", "--model", "N-LR", "--seeds", "0")
    code, out, _ = lrlib(*arguments)
    lines = out.splitlines()
    assert code == 0 and [line.split("_")[2] for line in lines] == ["1-LR", "N-LR"]
    assert all("test accuracy" in line and line.endswith(" %") for line in lines)
    monkeypatch.setattr(zoo.train, "train", None)
    assert lrlib(*arguments)[:2] == (0, out)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_specification_in_a_file_is_trained(lrlib, spec_file, tiny, wrapped):
    spec = replace(presets.spec("quick", "2-LR", 7), epochs=1)
    file = spec_file({"spec": spec.content(), "sha256": "0"} if wrapped else spec.content())
    code, out, _ = lrlib("train", file)
    assert code == 0 and re.fullmatch(rf"{spec.name}: test accuracy \d+\.\d\d %\n", out)
    assert zoo.find(spec).spec == spec


def test_what_lies_beside_a_stored_model_trains_the_same_model_again(lrlib, spec_file, tiny, tmp_path, monkeypatch):
    spec = presets.spec("quick", "1-LR", 0)
    stored = zoo.find_or_train(spec, progress=False)
    file = spec_file((zoo.folder() / f"{spec.name}.json").read_text())
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path / "again"))
    assert lrlib("train", file)[0] == 0
    assert zoo.find(spec).sha256 == stored.sha256


def test_a_preset_is_trained_with_a_shortened_schedule(lrlib, tiny, monkeypatch):
    trained = []

    def train(spec, **options):
        trained.append(spec)
        return zoo.Trained(None, spec, "0", {"test_accuracy": 0.5})

    monkeypatch.setattr(zoo, "find_or_train", train)
    for epochs in (3, 30):
        assert lrlib("train", "--preset", "small", "--seeds", "0", "--model", "2-LR", "--epochs", epochs)[0] == 0
    assert trained == [presets.spec("small", "2-LR", 0, epochs=3), presets.spec("small", "2-LR", 0)]


def test_reproducing_takes_its_budget_pages_and_epochs(lrlib, monkeypatch):
    asked = []
    monkeypatch.setattr(reproduce, "reproduce", lambda preset, **given: asked.append((preset, given)) or [])
    arguments = ("--preset", "small", "--budget", "2.5", "--only", "controls", "--epochs", "3", "--device", "cpu")
    assert lrlib("reproduce", *arguments)[0] == 0
    ((preset, given),) = asked
    assert preset == "small" and given.pop("say")
    assert given == {"minutes": 2.5, "only": ("controls",), "epochs": 3, "device": "cpu", "download": False}
    assert lrlib("reproduce", *arguments, "--download")[0] == 0
    assert asked[1][1]["download"]


@pytest.mark.parametrize("page", sections.STANDING)
def test_a_page_that_shows_its_records_trains_nothing_unless_told_to_measure(lrlib, untouched, monkeypatch, page):
    executed = []
    monkeypatch.setattr(pages, "execute", lambda page, parameters, output, **about: executed.append(page))
    assert lrlib("run", page)[0] == 0 and executed == [page]


@pytest.mark.parametrize(
    ("given", "folder", "record"),
    [
        ((), None, None),
        (("-p", "seeds", "7"), "_build/runs/compression", "compression.json"),
        (("-o", "mine"), "mine", "compression.json"),
        (("-p", "seeds", "7", "-o", "mine"), "mine", "compression.json"),
    ],
)
def test_only_a_run_at_the_defaults_updates_the_book(lrlib, monkeypatch, given, folder, record):
    executed = []
    monkeypatch.setattr(zoo, "find_or_train", lambda *arguments, **keywords: None)
    monkeypatch.setattr(pages, "execute", lambda page, parameters, output, **about: executed.append((output, about)))
    assert lrlib("run", "compression", *given)[0] == 0
    ((output, about),) = executed
    shown = output.relative_to(provenance.ROOT) if output.is_absolute() else output
    assert shown.as_posix() == f"{folder or 'book'}/compression.ipynb"
    assert (about["record"] and about["record"].name) == record


def test_the_committed_records_are_listed(lrlib):
    code, out, _ = lrlib("results")
    assert code == 0
    record = results.load(results.path("compression", "quick"))
    found = f"compression at quick: {len(record.rows)} rows, started {record.runs[0]['started']}"
    assert sum(line.startswith(found) for line in out.splitlines()) == 1


def test_the_rows_of_a_page_are_printed_without_what_nobody_can_read(lrlib):
    code, out, _ = lrlib("results", "adversarial", "--csv")
    header, *lines = out.splitlines()
    record = results.load(results.path("adversarial", "quick"))
    assert code == 0 and len(lines) == len(record.rows)
    assert {"artefact", "variant", "value", "n"} <= set(header.split(","))
    assert not {"survived", "image", "image_adv"} & set(header.split(","))
    steps = {row["steps"] for row in csv.DictReader(out.splitlines())}
    assert steps == {"", "7", "20"}  # spelled as in the paper's tables
    assert len(lrlib("results", "adversarial")[1].splitlines()) == len(out.splitlines())


def test_only_pages_that_something_has_changed_for_are_executed(lrlib, monkeypatch):
    executed, built = [], []
    monkeypatch.setattr(side_by_side, "shares", lambda: (1, 1))  # in this process
    monkeypatch.setattr(zoo, "find_or_train", lambda *arguments, **keywords: None)
    monkeypatch.setattr(pages, "is_current", lambda page, parameters, output: page != "compression")
    monkeypatch.setattr(pages, "execute", lambda page, *arguments, **keywords: executed.append(page))
    monkeypatch.setattr(pages, "build", lambda builder, *, fresh: built.append(fresh))
    code, out, _ = lrlib("book")
    assert code == 0 and executed == ["compression"] and built == [False]
    assert "effective_rank: up to date" in out.splitlines()
    assert lrlib("book", "--fresh")[0] == 0
    assert executed[1:] == [*sections.PAGES, *sections.STANDING] and built == [False, True]


def test_within_a_budget_pages_that_do_not_fit_are_executed_at_quick(lrlib, monkeypatch):
    executed = {}
    monkeypatch.setattr(side_by_side, "shares", lambda: (1, 1))  # in this process
    monkeypatch.setattr(zoo, "find_or_train", lambda *arguments, **keywords: None)
    monkeypatch.setattr(zoo, "find", lambda spec: None)
    monkeypatch.setattr(pages, "is_current", lambda *arguments: False)
    monkeypatch.setattr(pages, "execute", lambda page, given, *arguments, **keywords: executed.update({page: given}))
    monkeypatch.setattr(pages, "build", lambda builder, *, fresh: None)
    code, out, _ = lrlib("book", "--preset", "small", "--budget", "1")
    assert code == 0 and list(executed) == [*sections.PAGES, *sections.STANDING]
    trained = set(sections.PAGES) - {"lr_layer"}  # that one takes seconds, and no stored network
    assert {page for page, parameters in executed.items() if parameters.preset == "quick"} == trained
    assert {page for page, parameters in executed.items() if parameters.preset == "small"} == set(executed) - trained
    assert "compression: at quick, for it is not trained at small or takes too long" in out.splitlines()


def test_claims_prints_every_claim_at_each_measured_preset_with_its_verdicts_and_place(lrlib):
    code, out, _ = lrlib("claims")
    found = claims.claims()
    heads = [line for line in out.splitlines() if not line.startswith("  ")]
    assert code == 0 and [head.partition(":")[0] for head in heads] == [claim.id for claim in found]
    judged = claims.judged(claims.records())
    for preset in ("quick", "small"):
        lines = [line for line in out.splitlines() if line.startswith(f"  {preset}: ")]
        assert len(lines) == len(found)
        for line, claim in zip(lines, found, strict=True):
            published, strong = judged[claim.id][preset]
            verdict = f"{published.verdict}; under strong attacks {strong.verdict}" if strong else published.verdict
            assert line.endswith(verdict)
    assert all(f"  {scoreboard.address(claim)}\n" in out for claim in found)
    measured = any(one["paper"][0].verdict != "not measured" for one in judged.values())
    assert ("  paper: " in out) == measured


def test_claims_of_one_preset_and_as_values(lrlib):
    _, out, _ = lrlib("claims", "--preset", "paper")
    assert out.count("  paper: ") == len(claims.claims()) and "  small: " not in out
    _, out, _ = lrlib("claims", "--csv")
    table = pd.read_csv(io.StringIO(out), index_col="id")
    assert list(table.index) == [claim.id for claim in claims.claims()]
    assert {"claim", "printed", "small", "small, as published", "small, strong attacks", "place"} <= set(table.columns)
