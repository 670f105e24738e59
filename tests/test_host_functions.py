"""Every native function through libdryad_net: the JSON doors, and the modules for Dryad scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dryad_interpreter import Interpreter
from host_scenarios import SCENARIOS
from host_support import Host

import dryad_net as net
from dryad_net.host import locations

pytest_plugins = ["host_fixtures"]


def check(scenario: str, call: Any, also: set[str]) -> None:
    """Run a scenario; it must have called every function of its module, and only those and some others."""
    called = set()

    def record(name: str, *arguments: Any) -> Any:
        called.add(name)
        return call(name, *arguments)

    SCENARIOS[scenario](record)
    assert called | also == set(net.registry[scenario]) | also


@pytest.mark.parametrize("door", ["dryad_net_call", "dryad_net_call_utf8"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_through_json(host: Host, scenario: str, door: str) -> None:
    check(scenario, lambda name, *arguments: host.native(name, *arguments, door=door), {"native_net_wait"})
    host.end()


def as_script(value: Any) -> Any:
    """A value as a script has it: every number a float."""
    if isinstance(value, list):
        return [as_script(each) for each in value]
    if isinstance(value, dict):
        return {name: as_script(each) for name, each in value.items()}
    return float(value) if type(value) is int else value


@pytest.mark.parametrize("file", ["dryad_net.dryad", None], ids=["one for all", "one for each"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_through_the_modules_for_scripts(host: Host, tmp_path: Path, scenario: str, file: str | None) -> None:
    interpreter = Interpreter(host)
    host.libraries.clear()  # the modules load it themselves
    for name in sorted(set(net.registry[scenario]) | {"native_net_wait"}):
        module = file or ("websocket.dryad" if name == "native_net_wait" else f"{scenario}.dryad")
        script = tmp_path / "imports.dryad"
        script.write_text(f'import {{ {name} }} from "@/{locations.modules()}/{module}";\n')
        interpreter.run(script)

    def call(name: str, *arguments: Any) -> Any:
        parameters, body = interpreter.variables[name]
        return interpreter.call_function(parameters, body, *map(as_script, arguments))

    check(scenario, call, {"native_net_wait"})
    host.end()
