"""Builds the compiled half from src_pyx/; everything else about the package is in pyproject.toml.

DRYAD_NET_BUILD: "auto" (the default: without a working compiler the library is pure, with a
warning), "compiled" (a failed compilation is an error; wheels are built so), "pure".
DRYAD_NET_TRACE=1 has the compiler count which lines run (gcov), for .ci/long coverage.
"""

from __future__ import annotations

import copy
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

MODULES = (
    *("buffer", "call", "datagram", "frame", "framed", "inbound", "mask", "message", "poll"),
    *("reader", "receiver", "scan", "sock", "source", "stream", "text", "transmit", "waiter"),
    *("waiting", "websocket"),
)
SOURCES = Path("src_pyx")
# Cython finds a .pxd by the module's dotted name along package folders, and src_pyx/ is flat.
DECLARATIONS = Path("build/pxd")
HEADERS = [str(header) for header in sorted(SOURCES.glob("*.h"))]
# The C library for hosts that are not Python; see dryad_net/host/dryad_net.h.
HOST_LIBRARY = "dryad_net.host.libdryad_net"
# Without optimisation every line is a line; __gcov_dump is for processes that end without a C exit.
COUNTING = (
    ["-O0", "--coverage", "-fprofile-update=atomic", "-Wl,-u,__gcov_dump"]
    if os.environ.get("DRYAD_NET_TRACE") == "1"
    else []
)

DIRECTIVES = {
    "language_level": "3",
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "auto_pickle": False,
    "binding": False,
    "autotestdict": False,
}


def wanted() -> str:
    """What DRYAD_NET_BUILD asks for."""
    choice = os.environ.get("DRYAD_NET_BUILD", "auto")
    if choice not in ("auto", "compiled", "pure"):
        sys.exit(f"DRYAD_NET_BUILD={choice}: it must be auto, compiled or pure")
    if choice == "auto" and sys.platform == "win32":
        return "pure"  # the compiled half needs POSIX sockets
    return choice


def extensions() -> list[Extension]:
    """The modules of the compiled half, translated to C."""
    if wanted() == "pure":
        return []
    from Cython.Build import cythonize

    package = DECLARATIONS / "dryad_net" / "_compiled"
    package.mkdir(parents=True, exist_ok=True)
    for folder in (package.parent, package):
        (folder / "__init__.pxd").touch()
    for declaration in SOURCES.glob("*.pxd"):
        target = package / declaration.name
        if not target.exists() or target.read_bytes() != declaration.read_bytes():
            shutil.copy2(declaration, target)
    made = cythonize(
        [
            Extension(
                f"dryad_net._compiled.{name}",
                [f"{SOURCES}/{name}.pyx"],
                include_dirs=[str(SOURCES)],
                depends=HEADERS,
                extra_compile_args=COUNTING or ["-O3"],
                extra_link_args=COUNTING,
            )
            for name in MODULES
        ],
        include_path=[str(DECLARATIONS)],
        build_dir="build/c",
        compiler_directives=DIRECTIVES,
        quiet=True,
    )
    for extension in made:
        extension.optional = wanted() == "auto"  # cythonize() drops what was said before
    return list(made)


def host_library() -> list[Extension]:
    """The C library: no extension module, but built, installed and tagged as one."""
    if wanted() == "pure" or sys.platform == "win32":
        return []
    folder = SOURCES / "host"
    library = Extension(
        HOST_LIBRARY,
        [str(source) for source in sorted(folder.glob("*.c"))],
        depends=["dryad_net/host/dryad_net.h", *map(str, sorted(folder.glob("*.h")))],
        # dlopen and pthreads are libraries of their own before glibc 2.34.
        libraries=["dl", "pthread"] if sys.platform.startswith("linux") else [],
        extra_compile_args=["-std=c11", "-fvisibility=hidden", *(COUNTING or ["-O2"])],
        extra_link_args=COUNTING,
    )
    library.optional = wanted() == "auto"
    return [library]


def linking_a_library(linker: list[str]) -> list[str]:
    """macOS's linker command for extension modules, changed so that programs can be linked with what it makes.

    A bundle (ld(1), -bundle) can be loaded, and nothing can be linked with it.
    """
    name = f"@rpath/{HOST_LIBRARY.rpartition('.')[2]}.dylib"
    library = ["-dynamiclib", "-install_name", name]
    return [part for given in linker for part in (library if given == "-bundle" else [given])]


class BuildOrWarn(build_ext):
    """Compile all modules or, with DRYAD_NET_BUILD=auto, none: half of a half does not load."""

    def run(self) -> None:
        self.parallel = self.parallel or os.cpu_count()
        super().run()
        missing = self.missing(e for e in self.extensions if e.name != HOST_LIBRARY)
        if missing:
            for extension in self.extensions:
                if extension.name != HOST_LIBRARY:
                    Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.warn(
                f"dryad_net could not be compiled ({', '.join(missing)});\n"
                "installing the pure Python half, which does the same, slower."
            )
        if self.missing(e for e in self.extensions if e.name == HOST_LIBRARY):
            self.warn("libdryad_net, the C library for hosts that are not Python, could not be compiled.")

    def build_extension(self, extension: Extension) -> None:
        command = self
        if sys.platform == "darwin" and extension.name == HOST_LIBRARY:
            # A copy, since other threads link extension modules with this one's compiler meanwhile.
            command = copy.copy(self)
            command.compiler = copy.copy(self.compiler)
            command.compiler.linker_so = linking_a_library(self.compiler.linker_so)
        build_ext.build_extension(command, extension)

    def missing(self, extensions: Iterable[Extension]) -> list[str]:
        """The names of those that were not built."""
        return [e.name for e in extensions if not Path(self.get_ext_fullpath(e.name)).exists()]

    def warn(self, text: str) -> None:
        line = "*" * 78
        print(f"{line}\nWARNING: {text}\n{line}", file=sys.stderr)

    def get_ext_filename(self, fullname: str) -> str:
        if fullname.endswith(HOST_LIBRARY.rpartition(".")[2]):
            # Found by its name, whatever Python built it.
            return os.path.join(*fullname.split(".")) + (".dylib" if sys.platform == "darwin" else ".so")
        return super().get_ext_filename(fullname)

    def copy_extensions_to_source(self) -> None:
        built = [e for e in self.extensions if Path(self.build_lib, *e.name.split(".")).parent.exists()]
        if built:
            super().copy_extensions_to_source()


setup(ext_modules=extensions() + host_library(), cmdclass={"build_ext": BuildOrWarn})
