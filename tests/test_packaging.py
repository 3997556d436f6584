"""The wheel works outside the checkout, configurations included."""

import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

import lcn_tf

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ("lcn_tf", "command_line", "experiments", "data_prep")
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", *PACKAGES)


def run(arguments: list[str], folder: pathlib.Path, **variables: str) -> str:
    """Runs Python in a folder, without the checkout on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment | variables, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """The wheel built from a copy of the sources, without the network."""
    folder = tmp_path_factory.mktemp("build")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    run(["-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."], folder)
    (path,) = (folder / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> pathlib.Path:
    """A folder into which the wheel, and nothing else, is installed."""
    folder = tmp_path_factory.mktemp("site")
    run(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--target",
         str(folder), str(wheel)], folder.parent)
    return folder


def test_the_wheel_holds_every_module_and_configuration_and_says_that_it_has_types(wheel):
    packaged = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    modules = {path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    files = modules | set((ROOT / "experiments" / "configs").rglob("*.cfg")) | {ROOT / "lcn_tf" / "py.typed"}
    assert packaged == {path.relative_to(ROOT).as_posix() for path in files}


def test_the_installed_packages_are_imported_from_elsewhere(installed, tmp_path):
    names = ", ".join(PACKAGES)
    code = f"import {names}\nprint(*(package.__file__ for package in ({names})), sep='\\n')"
    files = run(["-c", code], tmp_path, PYTHONPATH=str(installed)).splitlines()
    assert [pathlib.Path(file).parent for file in files] == [
        installed / name for name in PACKAGES]


def test_a_bare_configuration_name_is_found(installed, tmp_path):
    code = "from experiments import flags\nprint(flags.find_config('lcn_200_50.cfg'))"
    path = run(["-c", code], tmp_path, PYTHONPATH=str(installed)).splitlines()[-1]
    assert pathlib.Path(path) == installed / "experiments" / "configs" / "lcn_200_50.cfg"
    assert pathlib.Path(path).exists()


def test_metadata(installed):
    (distribution,) = importlib.metadata.distributions(name="lcn-tf", path=[str(installed)])
    assert distribution.version == lcn_tf.__version__
    extras = set(distribution.metadata.get_all("Provides-Extra"))
    assert extras == {"ab", "dev", "onnx", "openvino", "spark", "serving"}
    assert any(path.match("licenses/LICENSE") for path in distribution.files)
