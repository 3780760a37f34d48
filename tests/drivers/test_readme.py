"""The worked example of drivers/README.md keeps the contract, and is found in a package of its own."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest

from gated import registry
from gated.ports import Kind
from tests.drivers import samples, test_every_driver, test_every_reader

README = Path(__file__).parents[2] / "drivers" / "README.md"
NAME = "reader_scanner"
CONTRACT = [
    test
    for suite in (test_every_driver, test_every_reader)
    for name, test in vars(suite).items()
    if name.startswith("test_")
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def scanner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example, put where the page says."""
    driver, rig, sample = blocks("python")
    for module, source in ((f"gated_drivers.{NAME}", driver), (f"gated_simulators.rigs.{NAME}", rig)):
        file = tmp_path / f"{module}.py"
        file.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(module, file)
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module, loaded)
        spec.loader.exec_module(loaded)
    monkeypatch.setitem(samples.SAMPLES, NAME, eval(sample, vars(samples)))


@pytest.mark.usefixtures("scanner")
@pytest.mark.parametrize("promise", CONTRACT, ids=lambda test: test.__name__)
async def test_the_example_keeps(promise: object, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert callable(promise)
    given = {"name": NAME, "tmp_path": tmp_path, "caplog": caplog}
    result = promise(**{k: v for k, v in given.items() if k in inspect.signature(promise).parameters})
    if inspect.isawaitable(result):
        await result


def test_a_driver_of_another_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, info = tmp_path / "acme_drivers", tmp_path / "acme-1.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (package / f"{NAME}.py").write_text(blocks("python")[0], encoding="utf-8")
    group, _, entry = blocks("toml")[0].strip().partition("\n")
    assert group == '[project.entry-points."gated.driver_packages"]'
    entry_point = entry.replace('"', "")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[gated.driver_packages]\n{entry_point}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.find(NAME).kind is Kind.READER
    assert NAME in registry.names()
    for module in [m for m in sys.modules if m.startswith("acme_drivers")]:
        monkeypatch.delitem(sys.modules, module)


def test_the_page_names_every_driver_and_no_other() -> None:
    page = README.read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `((?:reader|relay|contact)_\w+)`", page, re.MULTILINE))
    assert set(samples.names()) <= listed <= set(samples.SAMPLES)
