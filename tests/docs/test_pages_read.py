"""A page's blocks become steps, and a block that nobody would run or compare is refused."""

from __future__ import annotations

import pytest

from tests.docs.pages import Command, File, NotRun, PageError, Script, steps

PAGE = """\
```console
$ first 'one
  two' \\
    three
its answer
$ second
```
```json
{"a": 1}
```
- in a list
  ```python
  print(1)
  ```
```yaml file=models/a/polyserve.yaml
a: 1
```
```sh not-run=theirs
x
```
"""


def test_steps_in_order() -> None:
    first, second, script, file, left_out = steps(PAGE)
    assert isinstance(first, Command)
    assert first.text == "first 'one\n  two' \\\n    three"
    assert (first.answer.lines, first.answer.line) == (["its answer"], 5)
    assert isinstance(second, Command)
    assert (second.answer.lines, second.answer.language) == (['{"a": 1}'], "json")
    assert isinstance(script, Script)
    assert script.text == "print(1)\n"
    assert isinstance(file, File)
    assert (file.path, file.text) == ("models/a/polyserve.yaml", "a: 1\n")
    assert isinstance(left_out, NotRun)
    assert left_out.reason == "theirs"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```sh\nls\n```\n", "2: a block of sh that nobody runs or compares"),
        ("```\nls\n```\n", "2: a block of no language"),
        ("```json\n{}\n```\n", "a block of json"),
        ("```console\n$ ls\nx\n```\n```json\n{}\n```\n", "6: a block of json"),
        ("```console\nls\n```\n", "2: a console begins with a command"),
        ("```console\n```\n", "a console without a command"),
        ("```console\n$ ls\n", "1: this block is not closed"),
    ],
)
def test_a_block_that_nobody_runs_is_refused(text: str, message: str) -> None:
    with pytest.raises(PageError, match=message):
        steps(text)
