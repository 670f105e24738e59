"""The fixtures of the tests of libdryad_net; a plugin of pytest's, because several test modules share it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from host_support import PROGRAMS, Call, Host, compile_c, library

from dryad_net.host import locations


@pytest.fixture(scope="session")
def ffi_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library()  # what it is for
    return compile_c(PROGRAMS / "ffi_call.c", tmp_path_factory.mktemp("host") / "ffi_call")


@pytest.fixture
def scripts_folder(tmp_path: Path) -> Path:
    """Where scripts find the modules that they import, in dryad_net/."""
    library()  # which they open
    (tmp_path / "dryad_net").mkdir()
    for module in locations.modules().glob("*.dryad"):
        shutil.copy(module, tmp_path / "dryad_net")
    return tmp_path


@pytest.fixture
def start_host(ffi_program: Path) -> Iterator[Call]:
    """Starts a process; as many as a test asks for."""
    started: list[Host] = []

    def start(path: Path | None = None, **more: str) -> Host:
        started.append(Host(ffi_program, path, **more))
        return started[-1]

    yield start
    for host in started:
        host.clean_up()


@pytest.fixture
def host(start_host: Call) -> Host:
    """A process that has opened the library."""
    started: Host = start_host()
    return started


@pytest.fixture(scope="module")
def shared_host(ffi_program: Path) -> Iterator[Host]:
    """One process for all tests of a module that leave it as it was, but for some connections."""
    host = Host(ffi_program)
    yield host
    host.clean_up()
