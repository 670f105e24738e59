"""The modules for Dryad scripts: up to date, plain Dryad, and calling only what there is."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command_support import ROOT, run
from dryad_interpreter import Interpreter, ThrownError
from dryad_syntax import DryadSyntaxError, parse
from host_support import ALIAS, Call, Host, library

import dryad_net as net
from dryad_net.command import paths
from dryad_net.host import locations, modules

pytest_plugins = ["host_fixtures"]

FOLDER = ROOT / "dryad_net" / "host"
HEADER = (FOLDER / "dryad_net.h").read_text(encoding="utf-8")
DECLARED = {
    name: (kind.strip(), [] if parameters == "void" else parameters.split(","))
    for kind, name, parameters in re.findall(
        r"^DRYAD_NET_API ([^(]*?)(dryad_net_\w+)\(([^)]*)\);", HEADER, re.MULTILINE
    )
}
C_TYPES = {"i32": "int32_t", "i64": "int64_t", "string": "const char *"}
FUNCTIONS = {name: each for module in net.registry.values() for name, each in module.items()}


@pytest.fixture(params=modules.FILES)
def file(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def exported(file: str) -> dict[str, tuple[list[str], Any]]:
    """The functions of a module: parameters and body."""
    tree = parse((FOLDER / file).read_text(encoding="utf-8"))
    return {each[1][1]: (each[1][2], each[1][3]) for each in tree if each[0] == "export"}


def parts(tree: Any) -> Iterator[Any]:
    """Every tuple in a tree."""
    if isinstance(tree, (tuple, list)):
        if isinstance(tree, tuple):
            yield tree
        for each in tree:
            yield from parts(each)


def imported(host: Host, folder: Path, name: str) -> Call:
    """A function of a module, as a script that imports it has it."""
    host.libraries.clear()  # the module loads it itself
    script = folder / f"{name}.dryad"
    script.write_text(f'import {{{name}}} from "@/{locations.modules()}/{FUNCTIONS[name].module}.dryad";\n')
    interpreter = Interpreter(host)
    interpreter.run(script)
    return partial(interpreter.call_function, *interpreter.variables[name])


def test_they_are_up_to_date(file: str) -> None:
    assert (FOLDER / file).read_text(encoding="utf-8") == modules.text(file), "run python -m dryad_net.host.modules"


def test_they_have_every_function(file: str) -> None:
    wanted = {name: list(each.parameters) for name, each in FUNCTIONS.items() if each.module in modules.FILES[file]}
    assert {name: parameters for name, (parameters, _) in exported(file).items()} == wanted


def test_a_function_uses_nothing_but_what_it_declares(file: str) -> None:
    # It runs in the scope of its caller, who may have imported nothing else.
    for name, (parameters, body) in exported(file).items():
        tree = list(parts(body))
        known = {*parameters, "ffi_call", "native_json_encode", "native_json_decode"}
        known |= {each[1] for each in tree if each[0] == "let"} | {each[2] for each in tree if each[0] == "try"}
        assert {each[1] for each in tree if each[0] == "name"} <= known, name


def test_they_call_what_there_is_by_the_rules_of_ffi_call(file: str) -> None:
    loaded = ctypes.CDLL(str(library()))
    tree = parse((FOLDER / file).read_text(encoding="utf-8"))
    calls = [each[2] for each in parts(tree) if each[:2] == ("call", ("name", "ffi_call"))]
    assert len(calls) > 26
    for alias, symbol, kind, *arguments in calls:
        assert alias == ("literal", ALIAS)
        assert hasattr(loaded, symbol[1])
        declared, parameters = DECLARED[symbol[1]]
        assert declared == C_TYPES[kind[1]]
        assert len(arguments) == len(parameters) <= 6
        for argument, parameter in zip(arguments, parameters, strict=True):
            # Never an array, an object, or a number that is known to be negative.
            encoded = argument[:2] == ("call", ("name", "native_json_encode"))
            text = encoded or (argument[0] == "literal" and isinstance(argument[1], str))
            assert text or argument[0] == "name"
            if argument[0] == "name":
                assert (argument[1] in modules.TEXTS) == ("char *" in parameter)
            else:
                assert "char *" in parameter
            if encoded:
                assert argument[2][0][0] == "array"


def test_the_library_has_what_the_header_declares() -> None:
    loaded = ctypes.CDLL(str(library()))
    assert len(DECLARED) == 26
    assert [name for name in DECLARED if not hasattr(loaded, name)] == []
    assert re.search(r"DRYAD_NET_ABI_VERSION (\d+)", HEADER)[1] == str(modules.ABI_VERSION)  # type: ignore[index]


def test_arrays_and_objects_are_not_returned(file: str) -> None:
    for name, (_, body) in exported(file).items():
        returns = any(each[0] == "return" for each in parts(body))
        assert returns == (name not in modules.COMPOUND), name
        assert body[1][-1][0] == ("return" if returns else "property")


def test_what_gives_arrays_and_objects_is_known() -> None:
    for name, each in FUNCTIONS.items():
        if name not in modules.COMPOUND:
            assert not re.search(r"Returns an? (array|object)", each.call.__doc__ or ""), name


def test_a_function_may_be_imported_alone_and_twice(host: Host, tmp_path: Path) -> None:
    folder = locations.modules()
    script = tmp_path / "script.dryad"
    host.libraries.clear()
    script.write_text(
        f'import {{native_udp_socket}} from "@/{folder}/udp.dryad";\n'
        f'import {{native_tcp_listen}} from "@/{folder}/tcp.dryad";\n'
        f'import {{native_ws_listen}} from "@/{folder}/dryad_net.dryad";\n'
        "let ids = [native_udp_socket(), native_tcp_listen(0), native_ws_listen(0)];\n"
    )
    interpreter = Interpreter(host)
    interpreter.run(script)
    assert interpreter.variables["ids"] == [1.0, 2.0, 3.0]


def test_what_cannot_be_loaded_is_said(host: Host, tmp_path: Path) -> None:
    host.libraries.clear()
    path = tmp_path / "tcp.dryad"
    path.write_text(modules.text("tcp.dryad", '/no/such"library".so'))
    with pytest.raises(ThrownError, match=r'^E5006 dryad_net: the library was not loaded\. /no/such"library"\.so: '):
        Interpreter(host).run(path)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("native_tcp_send", [[1.0], "x"]),
        ("native_tcp_send", ["1", "x"]),
        ("native_tcp_send", [None, "x"]),
        ("native_tcp_send", [True, "x"]),
        ("native_tcp_send", [1.0, 5.0]),
        ("native_tcp_send", [1.0, None]),
        ("native_tcp_send", [1.0, True]),
        ("native_tcp_send", [1.5, "x"]),
        ("native_tcp_send", [-1.0, "x"]),
        ("native_tcp_recv", [1.0, 0.5]),
        ("native_tcp_recv", [1.0, -1.0]),
        ("native_tcp_recv", [1.0, "10"]),
        ("native_tcp_recv_blocking", [1.0, 10.0, -2.0]),
        ("native_tcp_recv_until", [1.0, 13.0]),
        ("native_tcp_recv_until", [1.0, ""]),
        ("native_tcp_accept", [99.0]),
        ("native_tcp_is_connected", [{}]),
        ("native_ws_send", [99.0, 7.0]),
        ("native_ws_recv_blocking", [99.0, 1e300]),
    ],
)
def test_typed_functions_refuse_what_the_library_refuses(
    shared_host: Host, tmp_path: Path, name: str, arguments: list[Any]
) -> None:
    client, _ = shared_host.tcp_pair()
    given = [float(client) if each == 1.0 and each is not True else each for each in arguments]
    wanted = shared_host.failure(name, *given)
    with pytest.raises(ThrownError) as caught:
        imported(shared_host, tmp_path, name)(*given)
    assert str(caught.value) == wanted


def test_strings_that_c_cannot_take_go_through_json(host: Host, tmp_path: Path) -> None:
    client, accepted = host.tcp_pair()
    send = imported(host, tmp_path, "native_tcp_send")
    assert send(float(client), "a\0b") == 3
    assert send(float(client), [0.0, 255.0]) == 2
    assert host.native("native_tcp_recv_bytes_blocking", accepted, 10, 5000) == [97, 0, 98, 0, 255]


@pytest.mark.parametrize(
    "source", ['let x = "\\0";', "let x = 1", "if (x) y();", "let let = 1;", "f(1,);", "x = = 1;", "'x';"]
)
def test_what_is_not_dryad_is_noticed(source: str) -> None:
    with pytest.raises(DryadSyntaxError):
        parse(source)


# ---- python -m dryad_net paths


def test_paths() -> None:
    library()
    result = run("paths")
    assert (result.returncode, result.stderr) == (0, "")
    told = dict(re.findall(r"^(\w+): +(\S+)$", result.stdout, re.MULTILINE))
    assert told.keys() == {"library", "header", "modules"}
    for name, path in told.items():
        assert run("paths", name).stdout == f"{path}\n"
    assert Path(told["library"]).name == modules.LIBRARY_NAME
    assert Path(told["header"]).read_text(encoding="utf-8") == HEADER
    for file in modules.FILES:
        text = (Path(told["modules"]) / file).read_text(encoding="utf-8")
        assert text == modules.text(file, told["library"])
    assert run("paths", "nothing").returncode == 2


@pytest.mark.parametrize("has_cache", [True, False])
def test_where_the_modules_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_cache: bool) -> None:
    cache, installation = tmp_path / "cache", tmp_path / "installation"
    installation.mkdir()
    if not has_cache:
        cache.write_text("a file, in which no folder can be made")
    found = installation / modules.LIBRARY_NAME
    found.touch()
    monkeypatch.setattr(locations, "FOLDER", installation)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    folder = locations.modules()
    assert folder.is_relative_to(cache / "dryad_net") if has_cache else folder == installation
    # Asked again, nothing is written; out of date, they are.
    written = {path.name: path.stat().st_ino for path in folder.glob("*.dryad")}
    assert written.keys() == set(modules.FILES)
    assert locations.modules() == folder
    assert {path.name: path.stat().st_ino for path in folder.glob("*.dryad")} == written
    (folder / "udp.dryad").write_text("old")
    locations.modules()
    assert f'"{found}"' in (folder / "udp.dryad").read_text(encoding="utf-8")
    assert (folder / "udp.dryad").stat().st_mode & 0o777 == 0o644


def test_paths_when_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: Any) -> Any:
        raise PermissionError("read-only")

    library()
    monkeypatch.setattr(locations, "_up_to_date", refuse)
    assert paths.run("modules") == 1
    assert capsys.readouterr().err == "the modules cannot be written: read-only\n"


def test_paths_without_the_library(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(locations, "library", lambda: None)
    assert paths.run("library") == 1
    assert "was not built" in capsys.readouterr().err
    assert paths.run(None) == 0
    assert "library:  the library was not built" in capsys.readouterr().out
    assert locations.modules() == locations.FOLDER
