"""KServe is imported without its Kubernetes client, and whoever asks for that gets the real one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

_LEAN = """
import json, sys
sys.argv = ["server"]
from adapters.shared.lean_kserve import lean
with lean():
    import kserve.model_server
"""


def in_a_new_process(code: str) -> Any:
    """What the code's last line prints, as JSON, of an interpreter that has imported nothing of KServe's."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_neither_kubernetes_nor_a_command_line_is_imported() -> None:
    imported = in_a_new_process(f"{_LEAN}\nprint(json.dumps(sorted(sys.modules)))")
    for name in ("kubernetes", "google.auth", "requests", "rich", "kserve.models", "kserve.api.kserve_client"):
        assert name not in imported
    assert {"kserve", "kserve.model_server", "httpx"} <= set(imported)


@pytest.mark.slow
def test_no_stand_in_is_left() -> None:
    names = in_a_new_process(f"""{_LEAN}
left = [f"{{name}}.{{key}}" for name, module in list(sys.modules.items()) if name.partition(".")[0] == "kserve"
        for key, value in vars(module).items() if type(value).__module__ == "adapters.shared.lean_kserve"]
left += [name for name, module in sys.modules.items() if module is None and name.startswith(("httpx", "kserve"))]
left += [str(finder) for finder in sys.meta_path if type(finder).__module__ == "adapters.shared.lean_kserve"]
print(json.dumps(left))""")
    assert names == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "from kserve import KServeClient as found; from kserve.api.kserve_client import KServeClient as real",
        "import kserve; found = kserve.V1beta1PodSpec; from kserve.models import V1beta1PodSpec as real",
        "import kserve.models; found = kserve.models.V1beta1ModelSpec; from kserve import V1beta1ModelSpec as real",
        "from kserve import ApiException as found; from kserve.exceptions import ApiException as real",
        "import httpx._main; found = real = httpx._main.main",
    ],
)
def test_what_was_put_off_is_the_real_thing_when_it_is_asked_for(code: str) -> None:
    found = in_a_new_process(f"{_LEAN}\n{code}\nprint(json.dumps([found is real, type(found).__name__]))")
    assert found[0] is True
    assert found[1] != "_PutOff"


@pytest.mark.slow
def test_every_name_of_the_package_is_there_as_ever() -> None:
    plain = in_a_new_process("import json, kserve; print(json.dumps(sorted(vars(kserve))))")
    missing = in_a_new_process(f"""{_LEAN}
print(json.dumps([name for name in {plain!r} if not name.startswith("__") and not hasattr(kserve, name)]))""")
    assert missing == []


@pytest.mark.slow
def test_a_star_takes_what_it_took() -> None:
    plain = in_a_new_process("""
import json
from kserve import *
print(json.dumps(sorted(name for name in globals() if name[:1] != "_" and name != "json")))""")
    lean = in_a_new_process(f"""{_LEAN}
before = {{*globals()}}
from kserve import *
print(json.dumps(sorted({{name for name in globals() if name[:1] != "_"}} - before - {{"before"}})))""")
    modules = {"api_client", "configuration", "models", "rest"}  # which are imported by their own names
    assert set(plain) - set(lean) <= {"kserve", "json", "sys", "lean"} | modules


@pytest.mark.slow
def test_another_version_is_imported_as_it_is() -> None:
    imported = in_a_new_process("""
import importlib.metadata, json, sys
sys.argv = ["server"]
told = importlib.metadata.version
importlib.metadata.version = lambda name: "0.15.2" if name == "kserve" else told(name)
from adapters.shared.lean_kserve import lean
with lean():
    import kserve
print(json.dumps("kserve.api.kserve_client" in sys.modules))""")
    assert imported is True


@pytest.mark.slow
def test_a_name_that_kserve_has_not_is_an_error() -> None:
    said = in_a_new_process(f"""{_LEAN}
try:
    kserve.Nothing
except AttributeError as error:
    print(json.dumps(str(error)))""")
    assert said == "module 'kserve' has no attribute 'Nothing'"


@pytest.mark.slow
def test_a_kserve_that_is_there_stays_as_it_is() -> None:
    same = in_a_new_process("""
import json, sys
sys.argv = ["server"]
import kserve
from adapters.shared.lean_kserve import lean
before, client = dict(vars(kserve)), kserve.KServeClient
with lean():
    import kserve.model_server
print(json.dumps(kserve.KServeClient is client and "__getattr__" not in vars(kserve)))""")
    assert same is True
