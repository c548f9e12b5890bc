"""The built package: what is in it, and that it runs where nothing else of the repository is."""

import email
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import gradopt
from gradopt._compiler.stamp import FILE, source_stamp

ROOT = Path(__file__).parents[1]
BUILD = "import sys, setuptools.build_meta as backend; print(getattr(backend, sys.argv[1])(sys.argv[2]))"


def built(kind, source, folder):
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(folder)]
    output = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    return folder / output.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from an sdist, so that the sdist has all that it takes."""
    folder = tmp_path_factory.mktemp("release")
    source = folder / "source"
    shutil.copytree(ROOT / "gradopt", source / "gradopt", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    sdist = built("sdist", source, folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "sdist", filter="data")
    (unpacked,) = (folder / "sdist").iterdir()
    return built("wheel", unpacked, folder)


@pytest.mark.slow
def test_the_wheel_has_the_package_alone(wheel):
    assert wheel.name == f"gradopt-{gradopt.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        about = email.message_from_bytes(archive.read(metadata))
    assert {name.split("/")[0] for name in names} == {"gradopt", f"gradopt-{gradopt.__version__}.dist-info"}
    assert {"gradopt/py.typed", "gradopt/plot/style.mplstyle"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]
    assert {"plot", "sklearn", "dask", "xarray"} <= set(about.get_all("Provides-Extra"))
    assert "Typing :: Typed" in about.get_all("Classifier")


@pytest.mark.slow
def test_it_runs_from_the_wheel_alone_and_hashes_no_files(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    package = tmp_path / "site" / "gradopt"
    assert (package / "_compiler" / FILE).read_text() == source_stamp(package) == source_stamp(ROOT / "gradopt")
    code = (
        "import pathlib; pathlib.Path.rglob = None\n"
        "import gradopt\n"
        "print(gradopt.__file__)\n"
        "print(gradopt.optimize(gradopt.problems.Rosenbrock(), method='lbfgs').success)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "NUMBA_CACHE_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines() == [str(package / "__init__.py"), "True"]


def test_the_citation_has_the_version():
    assert f"version: {gradopt.__version__}\n" in (ROOT / "CITATION.cff").read_text()
