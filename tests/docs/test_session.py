"""The reader of pages fails where a page is wrong: each wrong page here names its line and what came instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PageError, steps
from tests.docs.session import Session

RIGHT = """\
Save as `models/double/model.py`:

```python file=models/double/model.py
import kserve


class Double(kserve.Model):
    def load(self):
        self.ready = True

    def predict(self, payload, headers=None):
        return {"predictions": [2 * x for x in payload["instances"]]}
```
```console
$ polyserve serve models
$ curl -s localhost:8080/v1/models/double:predict -d '{"instances": [1,
    2.5]}'
{"predictions":[2,5.0]}
$ curl -s localhost:8080/v1/models/none:predict -d '{"instances": [1]}'
{"error":"...none..."}
```
```python
import httpx

print(httpx.post("http://localhost:8080/v1/models/double:predict", json={"instances": [3]}).json())
```
```text
{'predictions': [6]}
```
"""
WRONG = {
    "another answer": ("console", "$ echo 3\n4", r"page:2: the page shows\n4\nbut there came\n3"),
    "an answer that is not shown": ("console", "$ echo 3", "but there came\n3"),
    "another number": ("console", "$ echo 0.98\n0.97", r"but there came\n0\.98"),
    "another answer of a script": ("python", "print(3)\n```\n```text\n4", "page:2: the page shows"),
    "a script that fails": ("python", "raise ValueError(3)", "(?s)status 1:.*ValueError: 3"),
    "a command that is not there": ("console", "$ polyserv inspect", "polyserv: command not found"),
    "no such reason": ("console not-run=lazy", "$ ls", "not-run=lazy: there is container"),
    "a flag of the container": (
        "console not-run=container",
        "$ docker run -p 8080:8080 polyserve:latest --modle_dir=/m",
        r"did you mean --model_dir\?",
    ),
    "a file of the cluster": ("console not-run=container", "$ kubectl apply -f deploy/x.yaml", "no deploy/x.yaml"),
    "a target of make": ("console not-run=container", "$ make serv", "make has no target serv"),
    "a store's flag": ("console not-run=store", "$ polyserve serve --modle iris=s3://b/i", r"did you mean --model\?"),
    "another program": ("console not-run=theirs", "$ rm -r models", "rm is none of"),
    "no manifest": ("yaml not-run=manifest", "kind: Pod", "it is no manifest"),
    "no folder": ("text not-run=tree", "models", "it draws no folder"),
}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path / "reader", patience=1)
    yield session
    session.close()


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_page_is_found(session: Session, mistake: str) -> None:
    info, text, message = WRONG[mistake]
    with pytest.raises(PageError, match=message):
        session.follow("page", steps(f"```{info}\n{text}\n```\n"))


@pytest.mark.e2e
def test_a_right_page_and_the_same_with_another_answer(tmp_path: Path) -> None:
    session = Session(tmp_path / "reader")
    try:
        session.follow("page", steps(RIGHT))
        session.patience = 1
        with pytest.raises(PageError, match=r"page:16: the page shows\n.*5.1\D+\nbut there came\n.*5.0"):
            session.follow("page", steps(RIGHT.replace("[2,5.0]", "[2,5.1]")))
    finally:
        session.close()


@pytest.mark.e2e
def test_a_server_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    session = Session(tmp_path / "reader")
    with pytest.raises(PageError, match=r"(?s)page:2: the server does not listen:.*did you mean --model_dir\?"):
        session.follow("page", steps("```console\n$ polyserve serve --modle_dir=models\n```\n"))
