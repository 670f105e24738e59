"""Which Python libdryad_net starts, and what it says if there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from host_support import VERSIONS, Call, library, pythons
from support import NOTHING_MISSING

pytest_plugins = ["host_fixtures"]

PYTHONS = pythons()
OWN = ".".join(map(str, sys.version_info[:2]))
# Pure Python, so that one copy serves every version.
PURE = {"DRYAD_NET_BACKEND": "pure"}


def why(start_host: Call, path: Path | None = None, **more: str) -> str:
    """Why it cannot start; the typed functions must say the same."""
    host = start_host(path, **more)
    reason = host.failure("native_tcp_listen", 0)
    assert reason.startswith("E5006 native_tcp_listen: ")
    assert host.typed_failure("dryad_net_tcp_accept", "i64", 1) == reason.replace("tcp_listen", "tcp_accept")
    assert '"error":"E5006 dryad_net: ' in host.c("dryad_net_functions", "string")
    assert host.c("dryad_net_abi_version", "i32") == 1
    host.end()
    return str(reason)


def test_the_versions_that_ci_must_have() -> None:
    if NOTHING_MISSING:
        assert PYTHONS.keys() >= {"3.11"}


@pytest.mark.parametrize("version", PYTHONS)
def test_one_library_for_every_version(start_host: Call, version: str) -> None:
    host = start_host(DRYAD_NET_PYTHON=PYTHONS[version], **PURE)
    client, accepted = host.ws_pair()
    host.typed("dryad_net_ws_send", "i32", client, "héllo")
    assert host.typed("dryad_net_ws_recv_blocking", "string", accepted, 5000) == "héllo"
    assert host.ask(f"threads 8 50 dryad_net_ws_is_connected i32 n{client}") == "failures 0"
    assert host.ask(f"fork call dryad_net_ws_is_connected i32 n{client}") == "i32 -1"
    assert host.process.stdout is not None
    assert host.process.stdout.readline() == "forked 0\n"
    host.end()


def test_versions_are_known() -> None:
    assert set(PYTHONS) <= set(VERSIONS)


def test_a_virtual_environment_by_its_program(start_host: Call, tmp_path: Path) -> None:
    base = next(iter(PYTHONS.values()))
    subprocess.run([base, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    packages = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    package = Path(library()).parent.parent
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(package, packages / "dryad_net", ignore=ignored)
    for name in ("wsproto", "h11"):
        shutil.copytree(package.parent / name, packages / name, ignore=ignored)
    # By the variable; then by where the library lies.
    host = start_host(DRYAD_NET_PYTHON=str(tmp_path / "venv" / "bin" / "python"), **PURE)
    assert host.native("native_udp_socket") == 1
    installed = packages / "dryad_net" / "host" / library().name
    shutil.copy(library(), installed)
    host = start_host(installed, **PURE)
    assert host.native("native_udp_socket") == 1


def installation(folder: Path, *parts: str) -> Path:
    """What looks like an installation, with these files."""
    for part in parts:
        path = folder / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_a_static_python(start_host: Call, tmp_path: Path) -> None:
    place = installation(tmp_path, "lib/python3.11/os.py", "bin/python3.11")
    for named in (place, place / "bin" / "python3.11"):
        reason = why(start_host, DRYAD_NET_PYTHON=str(named))
        assert f"the Python in {tmp_path} has no shared library" in reason
        assert "looked for libpython3.11." in reason
        assert "--enable-shared" in reason


def test_an_installation_without_its_modules(start_host: Call, tmp_path: Path) -> None:
    place = installation(tmp_path, "bin/python3.11")
    reason = why(start_host, DRYAD_NET_PYTHON=str(place / "bin" / "python3.11"))
    assert f"no Python 3.11 in {tmp_path}: there is no lib/python3.11/os.py" in reason


def test_a_file_that_is_no_library(start_host: Call, tmp_path: Path) -> None:
    place = installation(tmp_path, "lib/python3.11/os.py", "lib/libpython3.11.so.1.0")
    assert "libpython3.11.so.1.0" in why(start_host, DRYAD_NET_PYTHON=str(place / "lib" / "libpython3.11.so.1.0"))
    assert "has no shared library" in why(start_host, DRYAD_NET_PYTHON=str(place))


@pytest.mark.parametrize("named", ["/no/such/python", "python3", "/dev/null", '/a "quoted"\tname\\'])
def test_a_variable_that_names_no_python(start_host: Call, named: str) -> None:
    assert "DRYAD_NET_PYTHON=" in why(start_host, DRYAD_NET_PYTHON=named)


def test_a_python_home_of_another_python(start_host: Call, tmp_path: Path) -> None:
    # Python itself would end the process.
    assert f"PYTHONHOME={tmp_path}" in why(start_host, PYTHONHOME=str(tmp_path))


def test_a_library_outside_of_an_installation(start_host: Call, tmp_path: Path) -> None:
    copy = tmp_path / library().name
    shutil.copy(library(), copy)
    reason = why(start_host, copy)
    assert f"no Python around {copy}" in reason
    assert "DRYAD_NET_PYTHON" in reason


def test_a_python_without_dryad_net(start_host: Call, tmp_path: Path) -> None:
    copy = tmp_path / library().name
    shutil.copy(library(), copy)
    base = [place for place in PYTHONS.values() if not (Path(place).parent.parent / "pyvenv.cfg").exists()]
    reason = why(start_host, copy, DRYAD_NET_PYTHON=base[-1])
    assert "dryad_net cannot be imported: No module named 'dryad_net'" in reason


def test_a_failure_is_tried_again(start_host: Call, tmp_path: Path) -> None:
    """What was missing may have been installed meanwhile."""
    place = tmp_path / "python"
    host = start_host(DRYAD_NET_PYTHON=str(place), **PURE)
    assert "DRYAD_NET_PYTHON=" in host.failure("native_udp_socket")
    place.symlink_to(Path(PYTHONS[next(iter(PYTHONS))]).parent.parent)
    assert host.native("native_udp_socket") == 1
