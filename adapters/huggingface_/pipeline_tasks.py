"""Every task of transformers' pipelines, one row each: what goes in, which models it is for, what may be asked.

The names are transformers'. `pipeline_inputs` reads the inputs, `pipelines` loads and asks the pipeline, and
`pipeline_answers` writes what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.base import TEXT_COUNTS, Parameter
from adapters.huggingface_ import pipeline_calls as calls
from adapters.huggingface_.pipeline_inputs import (
    BOXES,
    FRAMES,
    IMAGE,
    LABELS,
    QUESTIONS,
    SOUND,
    STATE,
    TABLE,
    TEXT,
    InputField,
)

_APPLIED = ("softmax", "sigmoid", "none")
TOP_K = Parameter("top_k", int, meaning="the best so many answers, best first")
_FUNCTION = Parameter("function_to_apply", str, _APPLIED, "what makes scores of the model's numbers")
_THRESHOLD = Parameter("threshold", float, meaning="the least score of what is answered, from 0 to 1")
_TEMPLATE = Parameter("hypothesis_template", str, meaning="the sentence that a label is put into, at {}")
_MULTI = Parameter("multi_label", bool, meaning="every label has a probability of its own")
_AGGREGATION = Parameter(
    *("aggregation_strategy", str, ("none", "simple", "first", "average", "max")),
    meaning="how the tokens of one entity become one answer",
)
_SUBTASK = Parameter("subtask", str, ("semantic", "instance", "panoptic"), "what is told apart")
_MASK = Parameter("mask_threshold", float, meaning="from which value on a pixel belongs to the mask, from 0 to 1")
_POOL = Parameter("pool", bool, meaning="one vector a picture, where the model has one")
_NEW = Parameter("max_new_tokens", int, meaning="tokens of the text that is made, at most")
_BEAMS = Parameter("num_beams", int, meaning="texts that are followed at once, of which the best is answered")
_SAMPLE = Parameter("do_sample", bool, meaning="draw tokens by chance instead of taking the likeliest")
_TEMPERATURE = Parameter("temperature", float, meaning="how much chance there is where tokens are drawn")
_ANSWER_LENGTH = Parameter("max_answer_len", int, meaning="tokens of an answer, at most")
_IMPOSSIBLE = Parameter("handle_impossible_answer", bool, meaning="an empty answer where the text has none")
_STRIDE = Parameter("doc_stride", int, meaning="tokens that neighbouring windows of a long text share")
_CHUNK = Parameter("chunk_length_s", float, meaning="seconds of long sound that are read at once")
_TIMESTAMPS = Parameter("return_timestamps", str, ("segment", "word", "char"), "when each piece was said, in `chunks`")
LANGUAGE = Parameter("language", str, meaning="the language that is spoken, by name or code")
SPOKEN_TASK = Parameter("task", str, ("transcribe", "translate"), "write down, or translate to English")
PROMPT = Parameter("prompt", str, meaning="text that came before, whose spelling is followed")
RETURN_LANGUAGE = Parameter("return_language", bool, meaning="the language that was heard, in `chunks`")
_GENERATED = (_NEW, _BEAMS, _SAMPLE, _TEMPERATURE)

#: of speech recognition: what only Whisper knows
_WHISPER_ONLY = (LANGUAGE, SPOKEN_TASK, PROMPT, RETURN_LANGUAGE)
#: a speech pipeline's type -> the times that it knows; others know none
_TIMES = {
    "seq2seq_whisper": ("segment", "word"),
    "ctc": ("word", "char"),
    "tdt": ("word", "char"),
    "ctc_with_lm": ("word",),
}


@dataclass(frozen=True)
class PipelineTask:
    """One row. A model is its task's by the longest of all `heads` that its architecture's name ends with."""

    name: str
    inputs: tuple[InputField, ...]
    heads: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    #: those of the parameters that are for `model.generate`
    generated: tuple[Parameter, ...] = ()
    call: Callable[[Any, Mapping[str, Any], dict[str, Any]], Any] = calls.plain
    #: keywords that make the pipeline cut long texts at so many tokens; None: it cannot be told
    cut: Callable[[int], dict[str, Any]] | None = None
    #: rows of equally large pictures are one call
    batched: bool = False
    #: a template makes a prompt of the inputs: the folder's own, if it has one
    renders: bool = False
    #: transformers' auto classes where its own table is not asked
    auto_classes: tuple[str, ...] = ()
    #: of our own, in the place of a pipeline
    own: str = ""
    #: `Signature.task` of such a model
    meaning: str = ""

    def takes(self, *kinds: str) -> bool:
        """Whether an input is of one of the kinds."""
        return any(field.kind in kinds for field in self.inputs)


_TEXT, _IMAGE, _SOUND = InputField("text", TEXT), InputField("image", IMAGE), InputField("audio", SOUND)
_LABELS = InputField("candidate_labels", LABELS)
_QUESTION = InputField("question", TEXT)


def _by_keywords(length: int) -> dict[str, Any]:
    return {"truncation": True, "max_length": length}


_ROWS = (
    # texts
    PipelineTask("text-classification", (_TEXT,), parameters=(TOP_K, _FUNCTION), cut=_by_keywords),
    PipelineTask("token-classification", (_TEXT,), parameters=(_AGGREGATION,), cut=lambda length: {}),
    PipelineTask("fill-mask", (_TEXT,), parameters=(TOP_K,), call=calls.single,
        cut=lambda length: {"tokenizer_kwargs": _by_keywords(length)}),
    PipelineTask("feature-extraction", (_TEXT,), cut=lambda length: {"tokenize_kwargs": _by_keywords(length)}),
    PipelineTask("zero-shot-classification", (_TEXT, _LABELS), parameters=(_MULTI, _TEMPLATE)),
    PipelineTask("table-question-answering", (InputField("table", TABLE), InputField("query", TEXT)),
        ("TapasForQuestionAnswering",), call=calls.of_table),
    PipelineTask("question-answering", (_QUESTION, InputField("context", TEXT)), ("ForQuestionAnswering",),
        (TOP_K, _ANSWER_LENGTH, _IMPOSSIBLE, _STRIDE), auto_classes=("AutoModelForQuestionAnswering",),
        call=calls.keyed, own="QuestionAnswering"),
    *(
        PipelineTask(name, (_TEXT,), heads, (TEXT_COUNTS,), generated=_GENERATED, cut=_by_keywords,
            auto_classes=("AutoModelForSeq2SeqLM",), own="TextToText", meaning="text2text")
        for name, heads in (
            ("text2text-generation", ("ForConditionalGeneration", "MTModel", "EncoderDecoderModel")),
            ("summarization", ()),
            ("translation", ("MarianMTModel", "M2M100ForConditionalGeneration")),
        )
    ),
    PipelineTask("decision", (InputField("state", STATE), InputField("questions", QUESTIONS)),
        auto_classes=("AutoModelForCausalLM",), call=calls.of_state, renders=True),
    # pictures
    PipelineTask("image-classification", (_IMAGE,), ("ForImageClassification", "ForImageClassificationWithTeacher"),
        (TOP_K, _FUNCTION), batched=True),
    PipelineTask("image-feature-extraction", (_IMAGE,), (), (_POOL,), batched=True),
    PipelineTask("object-detection", (_IMAGE,), ("ForObjectDetection",), (_THRESHOLD,)),
    PipelineTask("image-segmentation", (_IMAGE,),
        ("ForSemanticSegmentation", "ForImageSegmentation", "ForInstanceSegmentation", "ForUniversalSegmentation",
         "DetrForSegmentation"), (_SUBTASK, _THRESHOLD, _MASK)),
    PipelineTask("depth-estimation", (_IMAGE,), ("ForDepthEstimation",)),
    PipelineTask("mask-generation", (_IMAGE,), ("SamModel", "SamHQModel", "Sam2Model", "EdgeTamModel"),
        call=calls.masks),
    PipelineTask("keypoint-matching", (_IMAGE, InputField("image_pair", IMAGE)), ("ForKeypointMatching",),
        (_THRESHOLD,), call=calls.of_pair),
    PipelineTask("zero-shot-image-classification", (_IMAGE, _LABELS),
        ("CLIPModel", "SiglipModel", "Siglip2Model", "AlignModel", "AltCLIPModel", "MetaClip2Model"), (_TEMPLATE,)),
    PipelineTask("zero-shot-object-detection", (_IMAGE, _LABELS),
        ("OwlViTForObjectDetection", "Owlv2ForObjectDetection", "GroundingDinoForObjectDetection"),
        (_THRESHOLD, TOP_K), call=calls.detect),
    PipelineTask("document-question-answering", (_IMAGE, _QUESTION, InputField("word_boxes", BOXES, optional=True)),
        tuple(f"LayoutLM{version}ForQuestionAnswering" for version in ("", "v2", "v3")),
        (TOP_K, _ANSWER_LENGTH, _IMPOSSIBLE, _STRIDE), call=calls.of_document),
    PipelineTask("image-text-to-text", (_IMAGE, InputField("text", TEXT, optional=True)),
        ("BlipForConditionalGeneration", "GitForCausalLM", "VisionEncoderDecoderModel", "ForImageTextToText"),
        generated=_GENERATED, call=calls.of_image_and_text, renders=True),
    PipelineTask("video-classification", (InputField("video", FRAMES),), ("ForVideoClassification",),
        (TOP_K, _FUNCTION), auto_classes=("AutoModelForVideoClassification",), own="VideoClassification"),
    PipelineTask("any-to-any",
        (_TEXT, InputField("image", IMAGE, optional=True), InputField("audio", SOUND, optional=True)),
        generated=_GENERATED, call=calls.of_anything, renders=True),
    # sound
    PipelineTask("audio-classification", (_SOUND,), ("ForAudioClassification",), (TOP_K, _FUNCTION)),
    PipelineTask("automatic-speech-recognition", (_SOUND,),
        ("ForCTC", "WhisperForConditionalGeneration", "Speech2TextForConditionalGeneration", "ForSpeechSeq2Seq",
         "SpeechEncoderDecoderModel", "MoonshineForConditionalGeneration", "ForTDT"),
        (_TIMESTAMPS, RETURN_LANGUAGE, PROMPT, _CHUNK), (LANGUAGE, SPOKEN_TASK, *_GENERATED), call=calls.speech,
        meaning="transcription"),
    PipelineTask("zero-shot-audio-classification", (_SOUND, _LABELS), ("ClapModel",), (_TEMPLATE,)),
    PipelineTask("text-to-audio", (_TEXT,), ("VitsModel", "MusicgenForConditionalGeneration")),
)  # fmt: skip
PIPELINES: dict[str, PipelineTask] = {row.name: row for row in _ROWS}

#: other names of the same
ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}

#: tasks that transformers has, or had, and that are refused: why, and what to do
REFUSED = {
    "text-generation": "adapter: generation serves it, over OpenAI's API and the others",
    "text-to-speech": "task: text-to-audio is the same",
    "image-to-text": "transformers 5 dropped it; task: image-text-to-text asks the same models",
    "visual-question-answering": "transformers 5 dropped it; task: image-text-to-text answers questions on pictures",
    "image-to-image": "transformers 5 dropped it; a model.py of your own can serve it",
}


def of_speech(parameters: tuple[Parameter, ...], kind: str, languages: bool = True) -> tuple[Parameter, ...]:
    """Those that mean something to a speech pipeline of that type; `languages`: the model knows several."""
    left_out: tuple[Parameter, ...] = _WHISPER_ONLY
    if kind.startswith("ctc"):
        left_out = (*left_out, *_GENERATED)  # it makes no text token by token
    elif kind == "seq2seq_whisper":  # it has windows of its own
        left_out = (_CHUNK,) if languages else (_CHUNK, LANGUAGE, SPOKEN_TASK, RETURN_LANGUAGE)
    times = [replace(_TIMESTAMPS, choices=_TIMES[kind])] if kind in _TIMES else []
    return (*(each for each in parameters if each not in (*left_out, _TIMESTAMPS)), *times)


def task_of_head(architecture: str) -> PipelineTask | None:
    """The task of models of that architecture, by its name alone."""
    found = [(len(head), row) for row in _ROWS for head in row.heads if architecture.endswith(head)]
    return max(found, key=lambda pair: pair[0])[1] if found else None
