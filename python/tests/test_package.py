"""What the package says of itself."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import weir


def test_its_version_is_the_workspaces():
    assert weir.__version__ == importlib.metadata.version("weir")


def test_everything_public_has_a_docstring():
    for name in weir.__all__:
        thing = getattr(weir, name)
        if name != "__version__":
            assert thing.__doc__, name
        if isinstance(thing, type):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (callable(value) or hasattr(value, "__get__")):
                    assert value.__doc__, f"{name}.{member}"


def test_scikit_learn_is_imported_by_those_who_use_it():
    hidden = "import sys; sys.modules['sklearn'] = None; import weir; weir.schema('flow'); "
    subprocess.run([sys.executable, "-c", hidden], check=True)
    asked = subprocess.run(
        [sys.executable, "-c", hidden + "weir.IsolationForest"], capture_output=True, text=True
    )
    assert asked.returncode != 0
    assert "pip install scikit-learn" in asked.stderr


def test_what_it_has_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        weir.nothing


@pytest.mark.parametrize(
    ("kind", "version"), [("flow", 2), ("peer", 4), ("host", 1), ("service", 1), ("net", 1)]
)
def test_a_schema_describes_each_feature(kind, version):
    schema = weir.schema(kind)
    assert schema["name"] == f"weir.{kind}.v{version}"
    assert len(schema["hash"]) == 16
    names = [feature["name"] for feature in schema["features"]]
    assert len(set(names)) == len(names) > 20
    for feature in schema["features"]:
        assert feature["doc"].endswith(".")
        is_log = feature["scale"] == "log"
        expected = f"log2(1 + {feature['natural_unit']})" if is_log else feature["natural_unit"]
        assert feature["unit"] == expected


def test_another_kind_of_schema_is_refused_by_name():
    with pytest.raises(ValueError, match='`kind` must be one of "flow", .*"net", got "window"'):
        weir.schema("window")
