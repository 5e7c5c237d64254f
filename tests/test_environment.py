"""All ways to install the companion lead to the versions of requirements.lock."""

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = {"python_version": "3.11", "python_full_version": "3.11.14", "sys_platform": "linux", "extra": ""}


def requirements(text):
    return [Requirement(line) for line in text.splitlines() if re.match("[a-zA-Z0-9]", line)]


def versions(found, environment=None):
    """Name to exact version of the requirements that apply here, or in another environment."""
    applying = [one for one in found if one.marker is None or one.marker.evaluate(environment)]
    pinned = {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in applying}
    assert len(pinned) == len(applying)
    return pinned


def declared():
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(one) for asked in lists for one in asked]


def test_the_lock_is_exact():
    assert all(re.fullmatch(r"==[0-9][0-9a-z.]*", str(one.specifier)) for one in requirements(LOCK))


def test_the_lock_has_all_that_the_package_and_its_extras_ask_for():
    locked = versions(requirements(LOCK))
    assert [str(one) for one in declared() if locked[canonicalize_name(one.name)] not in one.specifier] == []


def test_what_is_installed_here_is_what_the_lock_says():
    locked = versions(requirements(LOCK))
    here = {canonicalize_name(one.name): one.version for one in metadata.distributions()}
    both = sorted(locked.keys() & here.keys())  # CUDA may have been left out
    assert [f"{name} {here[name].split('+')[0]}" for name in both] == [f"{name} {locked[name]}" for name in both]


def conda():
    return yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def by_pip(lines):
    """All requirements that pip is given, those of requirement files and of this checkout's package included."""
    for line in lines:
        if line == "-e .":
            yield from (Requirement(one) for one in PROJECT["dependencies"])
        elif line.startswith("-r "):
            yield from requirements((ROOT / line.removeprefix("-r ")).read_text())
        else:
            yield Requirement(line)


def test_condas_environment_resolves_to_the_versions_of_the_lock():
    (lines,) = (one["pip"] for one in conda() if isinstance(one, dict))
    locked, resolved = versions(requirements(LOCK), CONDA), {}
    for one in by_pip(lines):
        if one.marker is None or one.marker.evaluate(CONDA):
            name = canonicalize_name(one.name)
            assert locked[name] in one.specifier, name
            resolved[name] = locked[name]
    assert resolved == locked
    assert "-e ." in lines and "-r requirements.lock" in lines


def test_conda_itself_brings_python_and_pip_alone():
    names = [one for one in conda() if isinstance(one, str)]
    assert names == ["python=3.11", "pip"]
    assert "3.11" in Requirement(f"python{PROJECT['requires-python']}").specifier


# Without CUDA


def continued(text):
    return text.replace("\\\n", " ")


@pytest.fixture(params=["README.md", ".binder/postBuild"])
def without_cuda(request):
    return continued((ROOT / request.param).read_text())


def parents():
    """What asks for each package of the lock."""
    found, name = {}, None
    for line in LOCK.splitlines():
        if not line.startswith(" "):
            name = re.match("[^=]+", line)[0]
        elif parent := line.strip(" #").removeprefix("via").strip():
            found.setdefault(name, set()).add(parent)
    return found


def test_torch_and_torchvision_for_cpus_come_from_one_index_in_the_versions_of_the_lock(without_cuda):
    (line,) = re.findall(r"pip install .*download\.pytorch\.org/whl/cpu (.*)", without_cuda)
    locked = versions(requirements(LOCK))
    assert line.split() == [f"torch=={locked['torch']}", f"torchvision=={locked['torchvision']}"]


def test_without_cuda_the_lock_lacks_nothing_that_anything_else_asks_for(without_cuda):
    (pattern,) = re.findall(r"grep -Ev '(\S+)' requirements\.lock", without_cuda)
    kept = subprocess.run(["grep", "-Ev", pattern], input=LOCK, capture_output=True, text=True, check=True).stdout
    everything, left = ({one.name for one in requirements(text)} for text in (LOCK, kept))
    dropped, asked = everything - left, parents()
    assert {"torch", "torchvision", "triton", "nvidia-cublas", "cuda-toolkit"} <= dropped
    for name in dropped - {"torch", "torchvision"}:
        assert asked[name] <= dropped, name
    assert not [name for name in left if "cuda" in name or "nvidia" in name]


def test_binder_has_the_python_of_conda():
    assert (ROOT / ".binder" / "runtime.txt").read_text().strip() == "python-3.11"


def test_binders_script_is_a_program_that_stops_at_an_error():
    script = ROOT / ".binder" / "postBuild"
    assert script.stat().st_mode & 0o111
    assert "\nset -e\n" in script.read_text()
    assert subprocess.run(["sh", "-n", script]).returncode == 0
