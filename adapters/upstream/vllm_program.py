"""`vllm serve`: its command line, and its words.

Source: vLLM's documentation of the engine arguments, of the OpenAI-compatible server and of its metrics (0.32).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.base import LoadError, ModelDir, Parameter, Parameters
from adapters.generation.grammar import Grammar
from adapters.upstream.program import COMMON_OPTIONS, Metrics, ServingProgram, template_file

#: option -> the flag that it becomes
_FLAGS = {
    "dtype": "--dtype",
    "max_context": "--max-model-len",
    "slots": "--max-num-seqs",
    "quantization": "--quantization",
    "gpu_memory": "--gpu-memory-utilization",
    "gpus": "--tensor-parallel-size",
}
#: kind of a grammar -> the field of `structured_outputs`
_GRAMMARS = {"json_schema": "json", "regex": "regex", "choice": "choice", "lark": "grammar"}
_DTYPES = ("auto", "float32", "float16", "bfloat16")
_QUANTIZATIONS = ("awq", "gptq", "fp8", "bitsandbytes", "compressed-tensors")
_TOOL_PARSERS = (
    *("hermes", "llama3_json", "llama4_pythonic", "mistral", "pythonic", "qwen3_coder", "qwen3_xml", "deepseek_v3"),
    *("granite", "internlm", "jamba", "phi4_mini_json", "openai", "glm45", "kimi_k2"),
)
_REASONING_PARSERS = (
    *("deepseek_r1", "deepseek_v3", "qwen3", "gemma4", "glm45", "granite", "holo2", "hunyuan_a13b", "ernie45"),
    *("cohere_command3", "minimax_m2", "minimax_m2_append_think", "mistral", "olmo3", "openai_gptoss", "seed_oss"),
)


class VllmProgram(ServingProgram):
    """See `ServingProgram`."""

    name = "vllm"
    hint = (
        "install vllm on the machine, so that it is on the server's PATH, or name it in the folder's requirements.txt"
    )
    options = (
        *COMMON_OPTIONS,
        Parameter("dtype", choices=_DTYPES, meaning="the weights' type in memory"),
        Parameter(
            "quantization", choices=_QUANTIZATIONS, meaning="how the weights are packed, where the folder lacks it"
        ),
        Parameter("gpu_memory", float, meaning="of each GPU's memory, at most: 0.9 is nine tenths"),
        Parameter("gpus", int, meaning="over which the model is spread"),
        Parameter("cpu_cache_gib", int, meaning="GiB of keys and values, where there is no GPU; 1 unless set"),
        Parameter("tool_parser", choices=_TOOL_PARSERS, meaning="how the model writes calls of tools; none unless set"),
        Parameter(
            "reasoning_parser", choices=_REASONING_PARSERS, meaning="how the model marks reasoning; none unless set"
        ),
        Parameter("eager", bool, meaning="compile nothing: sooner ready, slower then"),
        Parameter("trust_remote_code", bool, meaning="run code that came with the model; needs `trust: full`"),
    )
    metrics = Metrics(
        running="vllm:num_requests_running",
        waiting="vllm:num_requests_waiting",
        cache="vllm:kv_cache_usage_perc",
        prefix_queries="vllm:prefix_cache_queries_total",
        prefix_hits="vllm:prefix_cache_hits_total",
        preemptions="vllm:num_preemptions_total",
        prompt_tokens="vllm:prompt_tokens_total",
        generated_tokens="vllm:generation_tokens_total",
    )

    def arguments(
        self, model_dir: ModelDir, file: str, served_name: str, socket: Path, options: Parameters
    ) -> list[str]:
        line = ["serve", str(model_dir.path), f"--served-model-name={served_name}", f"--uds={socket}"]
        line.append("--enable-prompt-tokens-details")
        line += [f"{flag}={options[option]}" for option, flag in _FLAGS.items() if option in options]
        if template := template_file(model_dir, options):
            line.append(f"--chat-template={template}")
        if parser := options.get("tool_parser"):
            line += ["--enable-auto-tool-choice", f"--tool-call-parser={parser}"]
        if parser := options.get("reasoning_parser"):
            line.append(f"--reasoning-parser={parser}")
        if options.get("eager"):
            line.append("--enforce-eager")
        if options.get("trust_remote_code"):
            if options.get("trust") != "full":
                raise LoadError(
                    "options.trust_remote_code runs code that came with the model, which needs `trust: full` in "
                    "polyserve.yaml, and a server with --trust=code"
                )
            line.append("--trust-remote-code")
        return line

    def environ(self, options: Parameters) -> Mapping[str, str]:
        return {
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_CPU_KVCACHE_SPACE": str(options.get("cpu_cache_gib", 1)),
        }

    def body(self, fields: dict[str, Any], grammar: Grammar | None) -> dict[str, Any]:
        if grammar is None:
            return fields
        if grammar.kind == "json_object":
            return {**fields, "response_format": {"type": "json_object"}}
        return {**fields, "structured_outputs": {_GRAMMARS[grammar.kind]: grammar.value}}
