"""lm-eval's `local-completions` against a whole server: log-likelihoods are those of its own `hf` model.

It asks for `echo`, `logprobs` and one token, with token ids as the prompt: the sharpest test of logprobs there is.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.process import Server
from tests.language_models import save_language_model
from tests.outside import interpreter_with, run

pytestmark = pytest.mark.e2e

#: context and what may follow it: a task of a few lines, of which nothing is fetched
LINES = [
    ("what is the capital of France?", " Paris is."),
    ("what is the capital of France?", " one two three"),
    ("the quick brown fox", " jumps over the lazy dog"),
    ("one two", " three"),
    ("", "one two three"),
]
CODE = """
import json, sys
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.openai_completions import LocalCompletionsAPI
folder, url, lines = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
def ask(model):
    asked = [Instance("loglikelihood", {}, tuple(line), number) for number, line in enumerate(lines)]
    return [[float(each), bool(greedy)] for each, greedy in model.loglikelihood(asked, disable_tqdm=True)]
own = ask(HFLM(pretrained=folder, dtype="float32", device="cpu", batch_size=1, add_bos_token=False))
served = ask(LocalCompletionsAPI(
    model="tiny", base_url=url, tokenizer=folder, tokenizer_backend="huggingface", max_length=128,
    add_bos_token=False,
))
print(json.dumps({"own": own, "served": served}))
"""


def test_log_likelihoods_are_those_of_lm_eval_s_own_model(tmp_path: Path) -> None:
    python = interpreter_with("lm_eval", "lm_eval[api]==0.4.13", beside_ours=True)
    folder = save_language_model(tmp_path / "models" / "tiny")
    server = Server(tmp_path / "models", tmp_path / "server.log").wait_ready()
    try:
        found = run(python, CODE, str(folder), f"{server.url}/openai/v1/completions", json.dumps(LINES))
    finally:
        server.stop()
    for line, own, served in zip(LINES, found["own"], found["served"], strict=True):
        assert served[0] == pytest.approx(own[0], abs=1e-3), line
        assert served[1] == own[1], line
