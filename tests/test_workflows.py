"""The workflows are valid, ask for little, pin what they use, and do what the README says can be done by hand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lrlib import launch, presets

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))}
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"]]
README = (ROOT / "README.md").read_text()
ON = True  # YAML 1.1 reads the key `on` so


def steps(name, job):
    return WORKFLOWS[name]["jobs"][job]["steps"]


def commands(name, job):
    return [step["run"] for step in steps(name, job) if "run" in step]


def used(name, job, action):
    return [step for step in steps(name, job) if step.get("uses", "").startswith(f"{action}@")]


def checked(program, *arguments):
    """A program of this environment over the workflows, without a network."""
    command = [Path(sys.executable).with_name(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"NO_COLOR": "1"})


def test_they_follow_the_schema_of_workflows():
    found = checked("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *FOLDER.iterdir())
    assert found.returncode == 0, found.stdout


def test_zizmor_finds_nothing_in_them():
    found = checked("zizmor", "--offline", "--no-progress", "--strict-collection", "--persona=pedantic", FOLDER)
    assert found.returncode == 0, found.stdout + found.stderr


def test_there_are_three():
    assert sorted(path.name for path in FOLDER.iterdir()) == ["gpu.yml", "publish.yml", "tests.yml"]


def test_every_action_is_pinned_to_a_commit_and_says_its_release():
    for path in FOLDER.iterdir():
        lines = [line for line in path.read_text().splitlines() if re.search(r"\buses:", line)]
        for line in lines:
            assert re.fullmatch(r"\s+(- )?uses: actions/[a-z/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_an_action_is_pinned_to_the_same_commit_everywhere():
    pins = re.findall(r"uses: (actions/[a-z-]+)\S*@(\w{40})", "".join(path.read_text() for path in FOLDER.iterdir()))
    assert len(set(pins)) == len({action for action, _ in pins}) > 1


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_no_permission_but_those_of_its_jobs(name):
    assert WORKFLOWS[name]["permissions"] == {}
    assert all("permissions" in job and "timeout-minutes" in job for job in WORKFLOWS[name]["jobs"].values())


def test_jobs_may_read_and_those_that_publish_may_write_what_they_publish():
    allowed = {(name, job): WORKFLOWS[name]["jobs"][job]["permissions"] for name, job in JOBS}
    assert allowed == {
        ("tests", "tests"): {"contents": "read"},
        ("gpu", "book"): {"contents": "read"},
        ("gpu", "offer"): {"contents": "write", "pull-requests": "write"},
        ("publish", "build"): {"contents": "read"},
        ("publish", "pages"): {"pages": "write", "id-token": "write"},
        ("publish", "notebooks"): {"contents": "write"},
    }


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_no_checkout_leaves_its_token_behind(name, job):
    assert all(step["with"]["persist-credentials"] is False for step in used(name, job, "actions/checkout"))


def test_the_tests_run_on_every_push_and_pull_request_as_everywhere():
    assert WORKFLOWS["tests"][ON] == {"push": None, "pull_request": None}
    assert commands("tests", "tests") == [".ci/run"]
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()


def test_pull_requests_never_reach_the_machine_with_the_gpu():
    assert WORKFLOWS["gpu"]["jobs"]["book"]["runs-on"] == ["self-hosted", "gpu"]
    assert set(WORKFLOWS["gpu"][ON]) == {"workflow_dispatch", "schedule"}
    others = [(name, job) for name, job in JOBS if (name, job) != ("gpu", "book")]
    assert {WORKFLOWS[name]["jobs"][job]["runs-on"] for name, job in others} == {"ubuntu-latest"}


def test_the_gpus_preset_and_budget_are_inputs_with_defaults_for_every_week():
    inputs = WORKFLOWS["gpu"][ON]["workflow_dispatch"]["inputs"]
    assert sorted(inputs["preset"]["options"]) == sorted(presets.PRESETS) and inputs["budget"]["type"] == "number"
    (when,) = WORKFLOWS["gpu"][ON]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* \d", when["cron"])
    environment = WORKFLOWS["gpu"]["env"]
    assert environment["PRESET"] == f"${{{{ inputs.preset || '{inputs['preset']['default']}' }}}}"
    assert environment["BUDGET"] == f"${{{{ inputs.budget || '{inputs['budget']['default']}' }}}}"


def test_one_run_at_a_time_has_the_card():
    assert WORKFLOWS["gpu"]["concurrency"] == {"group": "gpu", "cancel-in-progress": False}


def made(target, *variables):
    """The commands that make would run if everything was installed, also where another make runs this test."""
    command = ["make", "--no-print-directory", "--dry-run", "--assume-old=.venv/.ready", target, *variables]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines()


def test_the_gpus_steps_are_one_command_that_the_readme_says():
    (command,) = commands("gpu", "book")
    assert 'make gpu PRESET="$PRESET" BUDGET="$BUDGET"' in command
    assert "$ make gpu PRESET=paper BUDGET=480" in README
    assert [line for line in made("gpu", "PRESET=small", "BUDGET=7") if not line.startswith("#")] == [
        "nvidia-smi",
        ".venv/bin/lrlib reproduce --preset small --budget 7 --device cuda --download",
        ".venv/bin/lrlib book --preset small --budget 7",
        "nvidia-smi",
    ]


def test_the_gpus_run_keeps_its_log_notebooks_records_and_caches_even_if_it_fails():
    everything, records = used("gpu", "book", "actions/upload-artifact")
    assert {"gpu.log", "book/*.ipynb", "data/results/${{ env.PRESET }}"} <= set(everything["with"]["path"].split("\n"))
    (restored,), (saved,) = (used("gpu", "book", f"actions/cache/{what}") for what in ("restore", "save"))
    assert restored["with"]["path"] == saved["with"]["path"] == "data/datasets\ndata/models\n"
    assert saved["with"]["key"].startswith(restored["with"]["restore-keys"].strip())
    assert all(step["if"] == "always()" for step in (everything, records, saved))
    (fetched,) = used("gpu", "offer", "actions/download-artifact")
    assert fetched["with"]["path"] == records["with"]["path"]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A clone of a repository with one record and one page, and what stands for GitHub's command in its scripts."""

    def git(*arguments, folder=tmp_path / "clone"):
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "origin"), folder=tmp_path)
    git("clone", "--quiet", str(tmp_path / "origin"), str(tmp_path / "clone"), folder=tmp_path)
    clone = tmp_path / "clone"
    for name in ("data/results/paper/audit.json", "book/audit.py"):
        (clone / name).parent.mkdir(parents=True)
        (clone / name).write_text("before")
    (clone / ".gitignore").write_text("book/*.ipynb\n")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "start")
    git("push", "--quiet", "origin", "HEAD:main")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/said\n')
    (tmp_path / "bin" / "gh").chmod(0o755)
    names = {"PRESET": "paper", "BRANCH": "records/paper-7", "BASE": "main", "GITHUB_RUN_ID": "7", "GITHUB_SHA": "abc"}
    for name, value in (names | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}).items():
        monkeypatch.setenv(name, value)

    def run(script):
        subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=clone, check=True, capture_output=True)

    return git, clone, run, tmp_path / "said"


def test_new_records_are_offered_in_a_pull_request_and_old_ones_are_not(repository):
    git, clone, run, said = repository
    (script,) = commands("gpu", "offer")
    run(script)
    assert not said.exists() and git("branch", "--remotes") == "origin/main"
    (clone / "data/results/paper/audit.json").write_text("after")
    run(script)
    assert "pr create --base main --head records/paper-7 --title Records at paper" in said.read_text()
    assert git("show", "origin/records/paper-7:data/results/paper/audit.json") == "after"
    assert git("diff", "--name-only", "origin/main", "origin/records/paper-7") == "data/results/paper/audit.json"


def test_executed_notebooks_are_published_with_what_they_were_executed_from_and_nothing_older(repository):
    git, clone, run, _ = repository
    (script,) = commands("publish", "notebooks")
    for content in ("first", "second"):
        git("switch", "--quiet", "--detach", "origin/main")
        (clone / "book" / "audit.ipynb").write_text(content)
        run(script)
    git("fetch", "--quiet")
    assert git("show", "origin/notebooks:book/audit.ipynb") == "second"
    assert git("rev-parse", "origin/notebooks~1") == git("rev-parse", "origin/main")
    assert git("diff", "--name-only", "origin/main", "origin/notebooks") == "book/audit.ipynb"


def test_the_published_pages_buttons_lead_to_the_branch_of_notebooks():
    (built,) = (step for step in steps("publish", "build") if "run" in step)
    assert built["run"] == "make book"
    assert built["env"] == {launch.VARIABLE: "${{ github.server_url }}/${{ github.repository }}"}
    (script,) = commands("publish", "notebooks")
    assert script.rstrip().endswith(f"HEAD:refs/heads/{launch.BRANCH}")
