"""A model behind a pipeline of transformers: loaded from the folder alone, asked row by row, answered as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from adapters.base import InvalidInput, LoadError, Parameter, Parameters, Signature, Tensors, TensorSpec
from adapters.huggingface_.loading import check_loaded, from_folder, load_model, one_thread, reason_of
from adapters.huggingface_.parameter_ranges import check_ranges
from adapters.huggingface_.pipeline_answers import as_json
from adapters.huggingface_.pipeline_inputs import FRAMES, IMAGE, SOUND, TEXT, Reading, example_of
from adapters.huggingface_.pipeline_tasks import PipelineTask, of_speech
from adapters.huggingface_.tasks import OUTPUT, TRUNCATION
from adapters.huggingface_.text_lengths import TextLimit
from adapters.modeldir import ModelDir
from adapters.shared.arrays import array_of
from adapters.shared.messages import brief
from adapters.shared.texts import without_panics

#: pictures that are read and answered in one call, if they have no more pixels than a single one may have
_TOGETHER = 16
#: auto classes whose models want another one, which transformers would fetch from the hub: a vocoder
_NEEDING_OTHERS = ("AutoModelForTextToSpectrogram",)
AUDIO_SECONDS = Parameter("audio_seconds", bool, meaning="a second output: how long the sound of each row is")


@dataclass
class PipelineModel:
    """One loaded pipeline. Its calls take turns."""

    task: PipelineTask
    pipe: Any
    reading: Reading
    limit: TextLimit | None  #: of texts that a tokenizer reads
    defaults: Parameters = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What a request may ask of this very model."""
        known = (*self.task.parameters, *self.task.generated)
        if self.task.meaning == "transcription":
            generation = getattr(self.pipe.model, "generation_config", None)
            languages = bool(getattr(generation, "is_multilingual", True)) and hasattr(generation, "lang_to_id")
            known = (*of_speech(known, self.pipe.type, languages), AUDIO_SECONDS)
        return (*known, TRUNCATION) if self.limit is not None and self.task.cut is not None else known

    def signature(self) -> Signature:
        """One output of JSON values: what the pipeline answers on each row."""
        needed = [each for each in self.task.inputs if not each.optional]
        return Signature(
            inputs=tuple(each.spec() for each in self.task.inputs),
            outputs=(TensorSpec(OUTPUT, "BYTES", (-1,), json=True),),
            any_name=len(needed) == 1,
            parameters=self.parameters,
            task=self.task.meaning,
        )

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        settings = {**self.defaults, **parameters}
        seconds_asked = settings.pop(AUDIO_SECONDS.name, False)
        check_ranges(settings)
        count = len(next(iter(inputs.values())))
        seconds: list[float] = []
        answers: list[Any] = []
        with without_panics():
            for rows in self._groups(self._rows(inputs, count, settings)):
                seconds += [len(row["audio"]) / self.reading.rate for row in rows if "audio" in row]
                answers += self._answers(rows, settings)
        outputs = {OUTPUT: array_of([as_json(answer) for answer in answers])}
        if seconds_asked:
            outputs[AUDIO_SECONDS.name] = np.array(seconds)
        return outputs

    @property
    def carries(self) -> str:
        """Why the server's own process must not serve it, as `Adapter.carries`."""
        processor, tokenizer = (getattr(self.pipe, name, None) for name in ("processor", "tokenizer"))
        templates = [getattr(each, "chat_template", None) for each in (processor, tokenizer)]
        if self.task.renders and (any(templates) or self.task.name == "decision"):
            return "is asked by a chat template, a program that may never end"
        return ""

    def example(self) -> Tensors:
        """Two rows that are answered."""
        mask = getattr(self.pipe.tokenizer, "mask_token", None) if self.task.name == "fill-mask" else None
        text = f"The capital of France is {mask}." if mask else "This is an example."
        fields = [each for each in self.task.inputs if not each.optional or each.kind not in (TEXT,)]
        return {each.name: array_of([example_of(each, text)] * 2) for each in fields}

    def _rows(self, inputs: Tensors, count: int, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """One row after the other, read when it is its turn: pictures and sound are large."""
        held = {name: array.tolist() for name, array in inputs.items()}
        truncation = settings.get(TRUNCATION.name, False)
        for i in range(count):
            row = {}
            for each in self.task.inputs:
                value = held[each.name][i] if each.name in held else None
                if value is None and each.optional:
                    continue
                row[each.name] = self.reading.read(each, value, f"{each.name}[{i}]")
            if self.limit is not None:
                self.limit.check_characters(row, i)
                if not truncation:
                    self.limit.check(row, i, settings)
            yield row

    def _groups(self, rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        """Rows that are one call: of equally large pictures, where the task lets it, else one by one."""
        group: list[dict[str, Any]] = []
        for row in rows:
            if group and not self._goes_with(group, row):
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def _goes_with(self, group: list[dict[str, Any]], row: dict[str, Any]) -> bool:
        if not self.task.batched or row["image"].size != group[0]["image"].size or len(group) == _TOGETHER:
            return False
        width, height = row["image"].size
        pixels: int = (len(group) + 1) * width * height
        return pixels <= self.reading.limits.pixels

    def _answers(self, rows: list[dict[str, Any]], settings: Mapping[str, Any]) -> list[Any]:
        keywords = self._keywords(settings)
        if len(rows) > 1:
            images = [row["image"] for row in rows]
            return list(self.pipe(images, batch_size=len(images), **keywords))
        return [self.task.call(self.pipe, rows[0], keywords)]

    def _keywords(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        generated = {each.name: settings[each.name] for each in self.task.generated if each.name in settings}
        keywords = {each.name: settings[each.name] for each in self.task.parameters if each.name in settings}
        if self.task.cut is not None and self.limit is not None and settings.get(TRUNCATION.name):
            keywords |= self.task.cut(self.limit.tokens)
        return keywords | ({"generate_kwargs": generated} if generated else {})


def load_pipeline(model_dir: ModelDir, task: PipelineTask, architecture: str, options: Parameters) -> PipelineModel:
    """
    Raises:
        LoadError: the folder has no such model, or lacks a part of it; the installed libraries do not do for it.
    """
    one_thread()
    if task.renders:
        from adapters.huggingface_.template_environment import bound_templates

        bound_templates()
    try:
        model, report = load_head(model_dir, task, architecture, options)
        parts = _parts(model_dir, task)
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(reason_of(error)) from error
    check_loaded(report)
    try:
        pipe = _pipeline(task, model, parts, options)
    except Exception as error:
        raise LoadError(f"no {task.name} can be made of it: {brief(str(error))}") from error
    task = _as_the_model_takes(task, model)
    extractor = pipe.feature_extractor or getattr(pipe.processor, "feature_extractor", None)
    rate = getattr(extractor, "sampling_rate", None) or Reading.rate
    limit = TextLimit.of(pipe, task, options.get("max_length")) if parts.get("tokenizer") is not None else None
    limits = Reading().limits
    limits = replace(
        limits,
        pixels=options.get("max_pixels", limits.pixels),
        seconds=options.get("max_audio_seconds", limits.seconds),
        samples=_least_samples(model.config),
    )
    made = PipelineModel(task, pipe, Reading(limits, rate), limit)
    known = {each.name for each in made.parameters} - {"task"}  # which is the operator's word for something else
    made.defaults = {name: value for name, value in options.items() if name in known}
    if "max_length" in options:
        made.defaults = {TRUNCATION.name: True, **made.defaults}
    _try(made)
    return made


def _as_the_model_takes(task: PipelineTask, model: Any) -> PipelineTask:
    """Without the optional inputs of kinds that this very model has none of: some hear, and do not see."""
    if task.name != "any-to-any":
        return task
    taken = tuple(each for each in task.inputs if not each.optional or each.name in model.input_modalities)
    return replace(task, inputs=taken)


def _least_samples(config: Any) -> int:
    """Samples of sound that convolutions make one frame of (Wav2Vec2 and its kin); others pad what is short."""
    kernels, strides = (getattr(config, name, None) for name in ("conv_kernel", "conv_stride"))
    least = 1
    if not (isinstance(kernels, list | tuple) and isinstance(strides, list | tuple)):
        return least
    for kernel, stride in reversed(list(zip(kernels, strides, strict=False))):
        least = (least - 1) * stride + kernel
    return least


def load_head(model_dir: ModelDir, task: PipelineTask, architecture: str, options: Parameters) -> tuple[Any, Any]:
    """The model with the task's head: of the class that config.json names where it has it, else of an auto class."""
    import transformers

    named = getattr(transformers, architecture, None) if architecture else None
    suits = any(architecture.endswith(head) for head in task.heads)
    is_model = isinstance(named, type) and issubclass(named, transformers.PreTrainedModel)
    choices = [architecture] if suits and is_model else _auto_classes(task)
    dtype = options.get("dtype", "float32")
    problems = []
    for name in choices:
        try:
            return load_model(model_dir.path, name, model_dir.has("model.safetensors") or _is_sharded(model_dir), dtype)
        except ValueError as error:
            if "Unrecognized configuration class" not in str(error):
                raise
            problems.append(name)
    raise LoadError(
        f"{architecture or 'the model'} has no head for the task {task.name}: {', '.join(problems)} know none"
    )


def _auto_classes(task: PipelineTask) -> list[str]:
    from transformers.pipelines import SUPPORTED_TASKS

    if task.auto_classes:
        return list(task.auto_classes)
    names = [each.__name__ for each in SUPPORTED_TASKS[task.name]["pt"]]
    return [name for name in names if name not in _NEEDING_OTHERS]


def _is_sharded(model_dir: ModelDir) -> bool:
    return model_dir.has("model.safetensors.index.json")


def _parts(model_dir: ModelDir, task: PipelineTask) -> dict[str, Any]:
    """What prepares the inputs, as far as the folder has it."""
    from adapters.huggingface_.bundle import has_tokenizer

    whole = task.name == "any-to-any"  # its processor has all parts, of the kinds that there are
    prepared = model_dir.has("preprocessor_config.json") or model_dir.has("processor_config.json")
    wanted = {
        "tokenizer": ("AutoTokenizer", has_tokenizer(model_dir)),
        "image_processor": ("AutoImageProcessor", prepared and task.takes(IMAGE, FRAMES) and not whole),
        "feature_extractor": ("AutoFeatureExtractor", prepared and task.takes(SOUND) and not whole),
        "processor": ("AutoProcessor", prepared and (whole or task.name in ("image-text-to-text", "text-to-audio"))),
    }
    if task.takes(IMAGE, FRAMES, SOUND) and not prepared:
        raise LoadError("preprocessor_config.json is missing, which says how pictures or sound are made ready")
    parts = {name: from_folder(auto, model_dir.path) for name, (auto, there) in wanted.items() if there}
    if getattr(parts.get("image_processor"), "apply_ocr", False):
        parts["image_processor"].apply_ocr = False  # nothing here reads words off pictures
    return parts


def _pipeline(task: PipelineTask, model: Any, parts: dict[str, Any], options: Parameters) -> Any:
    import torch
    import transformers

    device = options.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")
    model = model.eval()
    if task.own:
        from adapters.huggingface_ import own_pipelines

        return getattr(own_pipelines, task.own)(model.to(device), task.name, **parts)
    return transformers.pipeline(task.name, model=model, device=device, **parts)


def _try(made: PipelineModel) -> None:
    """One row is answered, or the model is not served."""
    first = {name: array[:1] for name, array in made.example().items()}
    try:
        made.predict(first, {})
    except InvalidInput as error:
        raise LoadError(f"the model loads but does not take its example: {error}") from error
    except Exception as error:
        raise LoadError(f"the model loads but does not answer: {type(error).__name__}: {brief(str(error))}") from error
