"""The house keeps its own rules: layers, version, public surface, cheap import, no assert in the package."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fedanalytics as fa

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "fedanalytics").rglob("*.py"))


def test_the_changelog_names_this_version():
    released = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert released[0] == fa.__version__


def test_the_public_surface_is_what_all_says():
    for name in fa.__all__:
        assert getattr(fa, name) is not None
    listed = {name for names in fa._HOMES.values() for name in names} | {"privacy", "__version__"}
    assert listed == set(fa.__all__)
    assert set(fa.__all__) <= set(dir(fa))
    with pytest.raises(AttributeError, match="did you mean 'federated_mean'"):
        _ = fa.federated_meen


@pytest.mark.parametrize("name", [name for name in fa.__all__ if callable(getattr(fa, name))])
def test_what_is_public_is_documented(name):
    assert (getattr(fa, name).__doc__ or "").strip()


def test_the_import_is_cheap():
    script = "import sys, json, fedanalytics; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    )
    heavy = {
        "scipy",
        "pandas",
        "sqlglot",
        "dp_accounting",
        "mpmath",
        "cryptography",
        "typer",
        "rich",
        "matplotlib",
        "torch",
    }
    assert not heavy & set(loaded)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_sources_keep_the_rules(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert not [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Assert)], "no assert in the package"
    assert not re.search(r"\bnp\.random\b|\bpickle\b|\beval\(|\bexec\(", text)
    assert text.count("\n") <= 400, "a file over 400 lines asks to be looked at again"
    assert ast.get_docstring(tree), "a file says what its one idea is"


def lint(folder):
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("types/__init__.py", "import fedanalytics.session"),
        ("fleet/__init__.py", "import fedanalytics.statistics"),
        ("round/__init__.py", "import fedanalytics.ledger"),
        ("statistics/__init__.py", "import matplotlib"),
    ],
)
def test_a_planted_import_fails_the_contract(tmp_path, module, line):
    shutil.copytree(ROOT / "fedanalytics", tmp_path / "fedanalytics", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / "fedanalytics" / module
    planted.write_text(planted.read_text() + f"\n{line}\n")
    result = lint(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout
