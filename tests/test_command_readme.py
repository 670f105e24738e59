"""What the README promises."""

from __future__ import annotations

import re
import sys

import pytest
from command_support import ROOT, run

import dryad_net as net

README = (ROOT / "README.md").read_text(encoding="utf-8")


CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", CODE, ids=["tcp", "websocket"])
def test_readme_code_works(code: str) -> None:
    assert len([line for line in code.splitlines() if line]) <= 11
    result = run(command=(sys.executable, "-I", "-c", code))
    assert (result.returncode, result.stderr) == (0, "")
    promised = [comment.strip() for comment in re.findall(r"^print.*#(.*)$", code, re.MULTILINE)]
    assert len(promised) == 2
    assert [line for line in result.stdout.splitlines() if line] == promised


def test_readme_has_the_two_commands() -> None:
    assert re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL) == [
        "pip install . && python -m dryad_net demo",
        "pip install '.[test]' && python tests/run.py",
    ]


def test_readme_lists_every_function_and_extension() -> None:
    listed = re.search(r"^## Functions\n(.*?)^### Extensions\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    assert listed is not None
    functions = [function for module in net.registry.values() for function in module.values()]
    for text, extension in ((listed[1], False), (listed[2], True)):
        assert re.findall(r"^`(native_.*)`$", text, re.MULTILINE) == [
            f"{function.name}({', '.join(function.parameters)})"
            for function in functions
            if function.extension == extension
        ]
