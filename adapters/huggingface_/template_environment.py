"""transformers' environment of chat templates, in which all that is made is counted (see `template_budget`).

It has transformers' own filters, functions and extensions, and writes what that writes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Template, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context, Macro, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment

from adapters.huggingface_.template_budget import budget, opened, written
from adapters.huggingface_.template_calls import OF_THE_KIND, bounded, check_call, check_called, product

logger = logging.getLogger(__name__)

_TEMPLATES = 8  #: that are kept compiled; a model has one, or a few by name


@lru_cache(_TEMPLATES)
def compiled(source: str) -> BoundedTemplate:
    """The template, within bounds.

    Raises:
        TemplateSyntaxError: it is none.
    """
    theirs = _theirs()
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

    try:
        _theirs()
    except AttributeError:
        logger.warning("chat templates are not bounded: this release of transformers compiles them in another way")
    else:
        chat_template_utils._compile_jinja_template = compiled


@lru_cache(1)
def _theirs() -> Any:
    """transformers' own environment.

    Raises:
        AttributeError: it is made in a way that is not known here.
    """
    from transformers.utils import chat_template_utils as utils

    name = "_compile_jinja_template"
    return getattr(utils, "_cached" + name, getattr(utils, name))("").environment


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

    def visit_Add(self, node: nodes.BinExpr, frame: Frame) -> None:
        """`a + b + c` by one call: it is what templates do most."""
        terms: list[nodes.Expr] = [node.right]
        left = node.left
        while isinstance(left, nodes.Add):
            terms.append(left.right)
            left = left.left
        self.write("environment.added((")
        for each in (left, *reversed(terms)):
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
    intercepted_binops = frozenset({"*", "**", "%"})

    def take(self, other: Any) -> None:
        """Another's filters, tests and functions."""
        self.filters = {name: bounded(name, made) for name, made in other.filters.items()}
        self.tests = {name: made if name in OF_THE_KIND else bounded(name, made) for name, made in other.tests.items()}
        self.globals.update(other.globals)
        self.globals.pop("lipsum", None)  # words without an end
        self.finalize = _checked
        self.concat = _concatenated  # type: ignore[method-assign]

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

    @staticmethod
    def added(values: Sequence[Any]) -> Any:
        """What `+` makes, of several from the left."""
        here = budget()
        total = values[0]
        for each in values[1:]:
            if type(each) is str and type(total) is str:
                if len(total) + len(each) > here.left:
                    here.check(len(total) + len(each))
                total += each
            else:
                total = here.made(total + each)
        if type(total) is str:
            here.spend(len(total))
        return total

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        here = budget()
        if operator in ("*", "**"):
            here.check(product(operator, left, right))
        elif operator == "%" and isinstance(left, str):
            check_call("format", (left, right), {})
        return here.made(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        here = budget()
        here.step()
        if not isinstance(__obj, Macro):
            check_called(__obj, args, kwargs)
        elif __obj.catch_varargs or __obj.catch_kwargs:
            here.check(written((args, kwargs)))
        return here.made(super().call(__context, __obj, *args, **kwargs))


def _checked(value: Any) -> Any:
    """What is written into the prompt."""
    if type(value) is not str:
        budget().check(written(value))
    return value


def _concatenated(pieces: Iterable[str]) -> str:
    here, found = budget(), list(pieces)
    here.check(sum(map(len, found)))
    return str(here.made("".join(found)))
