"""transformers' environment of chat templates, in which all that is made is counted (see `template_budget`).

It has transformers' own filters, functions and extensions, and writes what that writes. What a filter or a method may
make is told before it is called: at most, each character of what it is given becomes as long as all the rest of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, wraps
from typing import Any

from jinja2 import Template, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context, Macro, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment

from adapters.shared.template_budget import budget, opened, written

_TEMPLATES = 8  #: that are kept compiled; a model has one, or a few by name
#: what makes nothing that is longer than three times what it is given, or gives parts of it
_HARMLESS = frozenset(
    {
        "abs", "attr", "bool", "boolean", "callable", "capitalize", "casefold", "copy", "count", "d", "default",
        "defined", "divisibleby", "dictsort", "e", "endswith", "eq", "equalto", "escape", "even", "false", "filter",
        "find", "first", "float", "forceescape", "ge", "get", "greaterthan", "gt", "in", "int",
        "integer", "isalnum", "isalpha", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper",
        "items", "iterable", "keys", "last", "le", "length", "lessthan", "list", "lower", "lstrip", "lt", "map",
        "mapping", "max", "min", "ne", "none", "number", "odd", "partition", "random", "range",
        "reject", "rejectattr", "removeprefix", "removesuffix", "reverse", "rfind", "rindex", "round", "rpartition",
        "rsplit", "rstrip", "safe", "sameas", "select", "selectattr", "sequence", "sort", "split", "splitlines",
        "startswith", "string", "strip", "striptags", "swapcase", "test", "title", "trim", "true",
        "truncate", "undefined", "unique", "upper", "urlencode", "values", "wordcount",
    }
)  # fmt: skip
#: ... but writes what it is given
_WRITING = frozenset({"capitalize", "e", "escape", "forceescape", "lower", "string", "striptags", "title", "trim", "upper"})
#: what puts texts, or the time, into a pattern
_PATTERNS = frozenset({"format", "format_map", "strftime_now"})
_LONGEST_DATE = 32
_WIDTHS = re.compile(r"\d+")  #: of a pattern that texts are put into
_FROM_ELSEWHERE = re.compile(r"%[#0\- +\d.]*\*|\{[^{}]*:[^{}]*\{")  #: a width that stands with the texts


@lru_cache(_TEMPLATES)
def compiled(source: str) -> BoundedTemplate:
    """The template, within bounds.

    Raises:
        TemplateSyntaxError: it is none.
    """
    from transformers.utils import chat_template_utils

    theirs = chat_template_utils._cached_compile_jinja_template("").environment  # type: ignore[no-untyped-call]
    environment = BoundedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[type(each) for each in theirs.extensions.values()]
    )
    environment.take(theirs)
    with opened():  # what is constant is worked out here
        template = environment.from_string(source)
    assert isinstance(template, BoundedTemplate)
    return template


def bound_templates() -> None:
    """Have all chat templates of transformers in this process rendered within bounds: tokenizers' and processors'."""
    from transformers.utils import chat_template_utils

    chat_template_utils._compile_jinja_template = compiled


class BoundedTemplate(Template):
    """A template each rendering of which has a budget."""

    def render(self, *args: Any, **kwargs: Any) -> str:
        with opened(kwargs):
            return super().render(*args, **kwargs)


class _Generator(CodeGenerator):
    """Jinja's, and what it writes without asking the environment is counted, too."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        step = nodes.ExprStmt(nodes.EnvironmentAttribute("one_step"), lineno=node.lineno)
        node.body = [step, *node.body]
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.joined((")
        for each in node.nodes:
            self.visit(each, frame)
            self.write(", ")
        self.write("))")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        if isinstance(node.arg, nodes.Slice):
            self._through("made", super().visit_Getitem, node, frame)
        else:
            super().visit_Getitem(node, frame)

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        self._through("holding", super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        self._through("holding", super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        if node.ctx == "load":
            self._through("holding", super().visit_Tuple, node, frame)
        else:  # names that are set
            super().visit_Tuple(node, frame)

    def _through(self, method: str, visit: Callable[[Any, Frame], None], node: nodes.Expr, frame: Frame) -> None:
        self.write(f"environment.{method}(")
        visit(node, frame)
        self.write(")")


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """See the module."""

    code_generator_class = _Generator
    template_class = BoundedTemplate
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def take(self, other: Any) -> None:
        """Another's filters, tests and functions."""
        self.filters = {name: _bounded(name, made) for name, made in other.filters.items()}
        self.tests = {name: _bounded(name, made) for name, made in other.tests.items()}
        self.globals.update(other.globals)
        self.globals.pop("lipsum", None)  # words without an end
        self.finalize = _checked
        self.concat = _concatenated  # type: ignore[assignment]

    @property
    def one_step(self) -> None:
        """Counts a turn of a loop: in a template's code no statement is shorter."""
        budget().step()

    @staticmethod
    def made(value: Any) -> Any:
        """The value, counted."""
        return budget().made(value)

    @staticmethod
    def holding(value: Any) -> Any:
        """A new list, tuple or object: what it holds twice is written, compared and hashed twice."""
        here = budget()
        if value:
            here.check(written(value))
        return here.made(value)

    @staticmethod
    def joined(values: Sequence[Any]) -> str:
        """What `~` makes."""
        here = budget()
        here.check(sum(map(written, values)))
        return str(here.made(str_join(values)))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        here = budget()
        if operator in ("*", "**"):
            here.check(_product(operator, left, right))
        elif operator == "%" and isinstance(left, str):
            _check_call("format", (left, right), {})
        return here.made(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: B902, N805
        here = budget()
        here.step()
        if not isinstance(__obj, Macro):
            _check_called(__obj, args, kwargs)
        elif __obj.catch_varargs or __obj.catch_kwargs:
            here.check(written((args, kwargs)))
        return here.made(super().call(__context, __obj, *args, **kwargs))


def _check_called(called: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """The same of a method, or of one of the functions of all templates."""
    name = getattr(called, "__name__", "")
    if isinstance(called, type) or not isinstance(name, str) or name not in _HARMLESS:
        wrapped = getattr(called, "__wrapped__", called)  # `str.format` in the sandbox
        owner = getattr(wrapped, "__self__", None)
        owner = owner if isinstance(owner, str | bytes | int | float | list | tuple) else ""
        _check_call(str(name), (owner, *args), kwargs)


def _bounded(name: str, called: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or a test that is counted, and what it may make told before."""

    @wraps(called)  # which keeps what Jinja marks it with: that it wants the context
    def counted(*args: Any, **kwargs: Any) -> Any:
        here = budget()
        here.step()
        given = args[1:] if hasattr(called, "jinja_pass_arg") else args
        if name not in _HARMLESS:
            _check_call(name, given, kwargs)
        elif name in _WRITING and given:
            here.check(written(given[0]))
        return here.made(called(*args, **kwargs))

    return counted


def _check_call(name: str, given: Sequence[Any], named: dict[str, Any]) -> None:
    """That what it may make is within the budget."""
    here = budget()
    first, *rest = [*given, *named.values()] or [""]
    length = written(first)
    if name in _PATTERNS and isinstance(pattern := first or (rest or [""])[0], str):
        if _FROM_ELSEWHERE.search(pattern):
            here.refuse()
        length += sum(int(each[:12]) for each in _WIDTHS.findall(pattern)) + len(pattern) * _LONGEST_DATE
    if isinstance(first, str) and name == "replace" and len(rest) >= 2 and all(isinstance(each, str) for each in rest[:2]):
        here.check(length + first.count(rest[0]) * len(rest[1]))
        return
    here.check((length + 1) * (1 + sum(abs(each) if isinstance(each, int) else written(each) for each in rest)))


def _product(operator: str, left: Any, right: Any) -> int:
    """Characters of what is multiplied."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * abs(right) if operator == "**" else left.bit_length() + right.bit_length()
        return bits // 8 if bits < 1 << 16 else bits << 32
    lengths = [abs(each) if isinstance(each, int) else written(each) for each in (left, right)]
    return lengths[0] * lengths[1] if operator == "*" and not any(isinstance(each, float) for each in (left, right)) else 0


def _checked(value: Any) -> Any:
    """What is written into the prompt."""
    if type(value) is not str:
        budget().check(written(value))
    return value


def _concatenated(pieces: Iterable[str]) -> str:
    here, found = budget(), list(pieces)
    here.check(sum(map(len, found)))
    return str(here.made("".join(found)))
