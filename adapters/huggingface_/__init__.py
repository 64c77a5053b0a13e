"""Transformers folders: KServe's tasks, and every task of transformers' pipelines.

`adapter` is the adapter; `bundle` checks the folder's files, `loading` makes model and tokenizer of them, `encoder`
tokenises and groups texts (`tokenizing`: KServe's options of it), `tasks` and `embedding` turn the model's output into
answers (`encoder_model` asks them), `sentence` reads sentence-transformers' modules.

Of pipelines, `pipeline_tasks` is the table: a row a task. `pipelines` loads and asks, `pipeline_calls` says how,
`own_pipelines` holds those that transformers lacks; `pipeline_inputs` and `media` read what comes in, `text_lengths`
and `parameter_ranges` bound it, `pipeline_answers` writes what goes out.
"""

from adapters.huggingface_.adapter import HuggingFaceAdapter

__all__ = ["HuggingFaceAdapter"]
