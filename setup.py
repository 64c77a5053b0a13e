"""What pyproject.toml cannot say: the wheel holds `server/` and `adapters/` inside a package of our own.

Other people's packages have these names (PyPI's `adapters` is AdapterHub's), and whichever is installed last would
overwrite the other's files. So a build copies both folders into `polyserve_runtime/`, and rewrites their imports of
each other, line by line: `from adapters.base import X` becomes `from polyserve_runtime.adapters.base import X`. So does
a text that is nothing but the name of one of our modules, as the adapters' table has them. What it does not know how to
rewrite ends the build. An editable installation (`make install`) leaves everything where it is.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

OWN = "polyserve_runtime"
FOLDERS = ("server", "adapters")
_NAMES = "|".join(FOLDERS)
_FROM = re.compile(rf"^(\s*from )({_NAMES})(?=[.\s])")
_TEXT = re.compile(rf"""(?<![\w.])(["'])({_NAMES})((?:\.\w+)+(?::\w+)?)\1""")
_MODULE = re.compile(rf"({_NAMES})((?:\.\w+)+)(?::\w+)?")


class Unfit(Exception):
    """The source has something that cannot be moved into a package."""


def moved(source: str, modules: frozenset[str], where: str = "") -> str:
    """The source as it stands inside the package; `modules` are the names of all of ours.

    Raises:
        Unfit: it imports one of ours in another way, or names one in a text that is not rewritten.
    """

    def text(match: re.Match[str]) -> str:
        quote, first, rest = match.groups()
        known = f"{first}{rest}".partition(":")[0] in modules
        return f"{quote}{OWN}.{first}{rest}{quote}" if known else match[0]

    lines = [_TEXT.sub(text, _FROM.sub(rf"\1{OWN}.\2", line)) for line in source.split("\n")]
    found = "\n".join(lines)
    for node in ast.walk(ast.parse(found)):
        named = node.module or "" if isinstance(node, ast.ImportFrom) and not node.level else ""
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else [named]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (text_ := _MODULE.fullmatch(node.value)):
            names = [node.value.partition(":")[0]] if f"{text_[1]}{text_[2]}" in modules else []
        if any(name.partition(".")[0] in FOLDERS for name in names):
            raise Unfit(f"{where}:{getattr(node, 'lineno', 0)}: write `from package.module import name`")
    return found


def modules_in(root: Path) -> frozenset[str]:
    """The names of all modules of both folders."""
    paths = [path.relative_to(root) for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    return frozenset(".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths)


def move_all(package: Path) -> None:
    """Rewrite the files of a package that a build has just made."""
    modules = modules_in(Path(__file__).parent)
    for path in package.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if path != package / "__init__.py" and (new := moved(source, modules, str(path))) != source:
            path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    from setuptools import find_packages, setup  # whoever imports this file for its functions keeps his own distutils
    from setuptools.command.build_py import build_py

    class BuildPy(build_py):
        """setuptools' own, and the rewriting."""

        def run(self) -> None:
            super().run()
            if not self.editable_mode:
                move_all(Path(self.build_lib) / OWN)

    setup(
        packages=[OWN, *(f"{OWN}.{name}" for name in find_packages(include=[f"{each}*" for each in FOLDERS]))],
        package_dir={f"{OWN}.{folder}": folder for folder in FOLDERS},
        package_data={OWN: ["py.typed"], f"{OWN}.server.api.console": ["assets/*"]},
        cmdclass={"build_py": BuildPy},
    )
