"""Tiny random models, one for each task of transformers' pipelines, saved as their authors would save them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.adapters.huggingface_.models import save, train_bytes, train_wordpiece

_SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
_TOWER = {**_SMALL, "image_size": 32, "patch_size": 8, "projection_dim": 16}
_TEXT_TOWER = {**_SMALL, "vocab_size": 120, "max_position_embeddings": 40, "projection_dim": 16, "eos_token_id": 3}


def _saved(path: Path, model: Any, *parts: Any) -> Path:
    import torch

    torch.manual_seed(11)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    model.eval().save_pretrained(path)
    for part in parts:
        part.save_pretrained(path)
    return path


def _image_processor(**settings: Any) -> Any:
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    return ViTImageProcessorPil(size={"height": 32, "width": 32}, **settings)


def image_classifier(path: Path) -> Path:
    from transformers import ViTConfig, ViTForImageClassification

    names = {0: "cat", 1: "dog", 2: "fox"}
    config = ViTConfig(**_SMALL, image_size=32, patch_size=8, id2label=names, label2id={v: k for k, v in names.items()})
    return _saved(path, ViTForImageClassification(config), _image_processor())


def image_features(path: Path) -> Path:
    from transformers import ViTConfig, ViTModel

    return _saved(path, ViTModel(ViTConfig(**_SMALL, image_size=32, patch_size=8)), _image_processor())


def object_detector(path: Path) -> Path:
    from transformers import YolosConfig, YolosForObjectDetection
    from transformers.models.yolos.image_processing_pil_yolos import YolosImageProcessorPil

    config = YolosConfig(**_SMALL, image_size=[32, 32], patch_size=8, num_detection_tokens=5, num_labels=3)
    return _saved(path, YolosForObjectDetection(config), YolosImageProcessorPil(size={"height": 32, "width": 32}))


def segmenter(path: Path) -> Path:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation
    from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

    config = SegformerConfig(
        hidden_sizes=[8, 16, 16, 16], decoder_hidden_size=16, num_attention_heads=[1, 1, 2, 2], depths=[1] * 4,
        num_labels=3,
    )  # fmt: skip
    processor = SegformerImageProcessorPil(size={"height": 32, "width": 32})
    return _saved(path, SegformerForSemanticSegmentation(config), processor)


def depth_estimator(path: Path) -> Path:
    from transformers import DPTConfig, DPTForDepthEstimation
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

    config = DPTConfig(
        **{**_SMALL, "num_hidden_layers": 4}, image_size=32, patch_size=8, backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=16, is_hybrid=False,
    )  # fmt: skip
    return _saved(path, DPTForDepthEstimation(config), DPTImageProcessorPil(size={"height": 32, "width": 32}))


def video_classifier(path: Path) -> Path:
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification
    from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

    config = VideoMAEConfig(**_SMALL, image_size=32, patch_size=8, num_frames=4, tubelet_size=2, num_labels=3)
    processor = VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return _saved(path, VideoMAEForVideoClassification(config), processor)


def clip(path: Path) -> Path:
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    config = CLIPConfig(text_config=_TEXT_TOWER, vision_config=_TOWER, projection_dim=16)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return _saved(path, CLIPModel(config), processor, train_wordpiece())


def owl(path: Path) -> Path:
    from transformers import OwlViTConfig, OwlViTForObjectDetection
    from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil

    towers = {**_TEXT_TOWER, "projection_dim": 32}, {**_TOWER, "projection_dim": 32}
    config = OwlViTConfig(text_config=towers[0], vision_config=towers[1], projection_dim=32)
    processor = OwlViTImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    return _saved(path, OwlViTForObjectDetection(config), processor, train_wordpiece())


def layout(path: Path) -> Path:
    from transformers import LayoutLMConfig, LayoutLMForQuestionAnswering
    from transformers.models.layoutlmv2.image_processing_pil_layoutlmv2 import LayoutLMv2ImageProcessorPil

    config = LayoutLMConfig(**_SMALL, vocab_size=120, max_position_embeddings=64)
    tokenizer = train_wordpiece()
    tokenizer.model_max_length = 64
    return _saved(path, LayoutLMForQuestionAnswering(config), tokenizer, LayoutLMv2ImageProcessorPil(apply_ocr=False))


def captioner(path: Path) -> Path:
    from transformers import BertTokenizerFast, BlipConfig, BlipForConditionalGeneration, BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    text = {**_SMALL, "vocab_size": 124, "max_position_embeddings": 40, "projection_dim": 16}
    text |= {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0, "encoder_hidden_size": 32}
    vision = {**_SMALL, "image_size": 32, "patch_size": 8}
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision, projection_dim=16))
    model.generation_config.max_new_tokens = 5
    tokenizer = BertTokenizerFast(tokenizer_object=train_wordpiece().backend_tokenizer)
    processor = BlipProcessor(BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer)
    return _saved(path, model, processor)


_WAVES = {
    **_SMALL, "conv_dim": [16, 16], "conv_stride": [5, 4], "conv_kernel": [10, 8], "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip


def audio_classifier(path: Path) -> Path:
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

    config = Wav2Vec2Config(**_WAVES, num_labels=3, classifier_proj_size=16)
    return _saved(path, Wav2Vec2ForSequenceClassification(config), Wav2Vec2FeatureExtractor())


def ctc(path: Path) -> Path:
    from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    path.mkdir(parents=True, exist_ok=True)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGH"]
    (path / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tokenizer = Wav2Vec2CTCTokenizer(str(path / "vocab.json"))
    config = Wav2Vec2Config(**_WAVES, vocab_size=len(letters), pad_token_id=0)
    return _saved(path, Wav2Vec2ForCTC(config), tokenizer, Wav2Vec2FeatureExtractor())


def whisper(path: Path) -> Path:
    """With a real vocabulary's special tokens, so that languages, tasks and times mean something."""
    from tokenizers import pre_tokenizers
    from transformers import (
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    path.mkdir(parents=True, exist_ok=True)
    vocabulary = {letter: i for i, letter in enumerate(alphabet)} | {"<|endoftext|>": 256}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[])
    special = ["<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>"]
    special += ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.add_tokens([f"<|{i * 0.02:.2f}|>" for i in range(1501)])
    ids = dict(zip(special, tokenizer.convert_tokens_to_ids(special), strict=True))
    config = WhisperConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_target_positions=64,
        num_mel_bins=16, pad_token_id=256, bos_token_id=256, eos_token_id=256,
        decoder_start_token_id=ids["<|startoftranscript|>"], suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    generation = model.generation_config
    generation.is_multilingual, generation.max_length = True, None
    generation._from_model_config = False  # else what follows is forgotten
    generation.max_new_tokens = 24
    generation.lang_to_id = {"<|en|>": ids["<|en|>"], "<|de|>": ids["<|de|>"]}
    generation.task_to_id = {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]}
    generation.no_timestamps_token_id = ids["<|notimestamps|>"]
    generation.prev_sot_token_id = ids["<|startofprev|>"]
    generation.max_initial_timestamp_index = 50
    generation.alignment_heads = [[0, 0], [1, 1]]
    extractor = WhisperFeatureExtractor(feature_size=16)
    return _saved(path, model, WhisperProcessor(extractor, tokenizer))


def clap(path: Path) -> Path:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    audio = {
        "spec_size": 64, "num_mel_bins": 16, "patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [1, 1],
        "num_attention_heads": [2, 2], "window_size": 4, "projection_dim": 16, "patch_size": 4, "patch_stride": [4, 4],
        "num_classes": 3, "enable_fusion": False,
    }  # fmt: skip
    text = {**_SMALL, "vocab_size": 320, "max_position_embeddings": 40, "projection_dim": 16, "pad_token_id": 1}
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=16)
    extractor = ClapFeatureExtractor(
        feature_size=16, truncation="rand_trunc", padding="repeatpad", max_length_s=1, sampling_rate=16_000
    )
    return _saved(path, ClapModel(config), extractor, train_bytes())


def speaker(path: Path) -> Path:
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    path.mkdir(parents=True, exist_ok=True)
    letters = ["_", *"abcdefghijklmnopqrstuvwxyz", " ", ".", "<unk>"]
    (path / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tokenizer = VitsTokenizer(str(path / "vocab.json"), phonemize=False, normalize=True, is_uroman=False)
    config = VitsConfig(
        **_SMALL, vocab_size=len(letters), ffn_dim=32, flow_size=16, spectrogram_bins=9, num_speakers=1,
        upsample_initial_channel=16, upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8], noise_scale=0.0,
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]], duration_predictor_filter_channels=16,
        posterior_encoder_num_wavenet_layers=2, prior_encoder_num_flows=2, prior_encoder_num_wavenet_layers=2,
        use_stochastic_duration_prediction=False, depth_separable_num_layers=1, sampling_rate=16_000,
    )  # fmt: skip
    import torch

    torch.manual_seed(3)
    model = VitsModel(config).eval()
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def tapas(path: Path) -> Path:
    from transformers import TapasConfig, TapasForQuestionAnswering, TapasTokenizer

    path.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[EMPTY]", "city", "people", "rome", "oslo", "2", "0", ".",
             "8", "7", "how", "many", "this", "is", "an", "example"]  # fmt: skip
    (path / "vocab.txt").write_text("\n".join(words))
    config = TapasConfig(
        **_SMALL, vocab_size=len(words), max_position_embeddings=64, select_one_column=True, num_aggregation_labels=0
    )
    tokenizer = TapasTokenizer(str(path / "vocab.txt"), model_max_length=64)
    return _saved(path, TapasForQuestionAnswering(config), tokenizer)


def t5(path: Path) -> Path:
    return save(
        path, "T5ForConditionalGeneration", train_bytes(), d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2,
        decoder_start_token_id=1, eos_token_id=2, task_specific_params={"summarization": {"prefix": "sum: "}},
    )  # fmt: skip


_CHAT = (
    "{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{{ MARK if part['type'] != 'text' else part['text'] }}{% endfor %}{% endif %}"
    "{% endfor %}{{ '>' if add_generation_prompt }}"
)


def _chatty(*tokens: str, mark: str = "") -> Any:
    """A tokenizer with tokens of its own and a chat template, in which `mark` stands for what is no text."""
    tokenizer = train_bytes(wrap=False)
    tokenizer.add_tokens([*tokens])
    tokenizer.chat_template, tokenizer.model_max_length = _CHAT.replace("MARK", repr(mark)), 200
    return tokenizer


def _decoder(tokenizer: Any) -> dict[str, Any]:
    return {**_SMALL, "vocab_size": len(tokenizer), "max_position_embeddings": 200, "num_key_value_heads": 2,
            "eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1}  # fmt: skip


def seer(path: Path) -> Path:
    """LLaVA: a picture is a token of the prompt, which the chat template puts there."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = _chatty("<image>", mark="<image>")
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_TOWER), text_config=LlamaConfig(**_decoder(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"), vision_feature_layer=-1,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config)
    model.generation_config.max_new_tokens = 6
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=tokenizer.chat_template,
    )  # fmt: skip
    return _saved(path, model, processor)


def hearer(path: Path) -> Path:
    """Qwen2-Audio, which hears and reads."""
    from transformers import (
        Qwen2AudioConfig,
        Qwen2AudioEncoderConfig,
        Qwen2AudioForConditionalGeneration,
        Qwen2AudioProcessor,
        Qwen2Config,
        WhisperFeatureExtractor,
    )

    tokenizer = _chatty("<|AUDIO|>", mark="<|AUDIO|>")
    audio = Qwen2AudioEncoderConfig(
        num_mel_bins=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, d_model=32,
        max_source_positions=50,
    )  # fmt: skip
    config = Qwen2AudioConfig(
        audio_config=audio, text_config=Qwen2Config(**_decoder(tokenizer)),
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )  # fmt: skip
    model = Qwen2AudioForConditionalGeneration(config)
    model.generation_config.max_new_tokens = 6
    extractor = WhisperFeatureExtractor(feature_size=16, chunk_length=1)
    return _saved(path, model, Qwen2AudioProcessor(extractor, tokenizer, chat_template=tokenizer.chat_template))


def decider(path: Path) -> Path:
    """A decoder, whose next token is a decision's label."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _chatty("Yes", "No")
    return _saved(path, LlamaForCausalLM(LlamaConfig(**_decoder(tokenizer))), tokenizer)


def bert(architecture: str, **config: Any) -> Callable[[Path], Path]:
    """BERT with a head."""
    return lambda path: save(path, architecture, train_wordpiece(), **config)


_ENTAILS = {0: "entailment", 1: "neutral", 2: "contradiction"}
_TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC"}

#: task -> what makes its model
MODELS: dict[str, Callable[[Path], Path]] = {
    "text-classification": bert("BertForSequenceClassification", id2label={0: "bad", 1: "good", 2: "so so"}),
    "token-classification": bert("BertForTokenClassification", id2label=_TAGS),
    "fill-mask": bert("BertForMaskedLM"),
    "feature-extraction": bert("BertModel"),
    "zero-shot-classification": bert(
        "BertForSequenceClassification", id2label=_ENTAILS, label2id={v: k for k, v in _ENTAILS.items()}
    ),
    "table-question-answering": tapas,
    "question-answering": bert("BertForQuestionAnswering"),
    "text2text-generation": t5,
    "summarization": t5,
    "translation": t5,
    "image-classification": image_classifier,
    "image-feature-extraction": image_features,
    "object-detection": object_detector,
    "image-segmentation": segmenter,
    "depth-estimation": depth_estimator,
    "zero-shot-image-classification": clip,
    "zero-shot-object-detection": owl,
    "document-question-answering": layout,
    "image-text-to-text": captioner,
    "video-classification": video_classifier,
    "audio-classification": audio_classifier,
    "automatic-speech-recognition": whisper,
    "zero-shot-audio-classification": clap,
    "text-to-audio": speaker,
    "any-to-any": hearer,
    "decision": decider,
}


def matcher(path: Path) -> Path:
    from transformers import SuperGlueConfig, SuperGlueForKeypointMatching, SuperPointConfig
    from transformers.models.superglue.image_processing_pil_superglue import SuperGlueImageProcessorPil

    points = SuperPointConfig(
        encoder_hidden_sizes=[8] * 4, decoder_hidden_size=16, keypoint_decoder_dim=65, descriptor_decoder_dim=16,
        max_keypoints=8,
    )  # fmt: skip
    config = SuperGlueConfig(
        keypoint_detector_config=points, hidden_size=16, keypoint_encoder_sizes=[8, 16],
        gnn_layers_types=["self", "cross"], num_attention_heads=2, sinkhorn_iterations=3,
    )  # fmt: skip
    processor = SuperGlueImageProcessorPil(size={"height": 32, "width": 32})
    return _saved(path, SuperGlueForKeypointMatching(config), processor)


def sam(path: Path) -> Path:
    from transformers import SamConfig, SamModel, SamVisionConfig
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    vision = SamVisionConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16, output_channels=16,
        mlp_dim=16, window_size=2, global_attn_indexes=[1], num_pos_feats=8,
    )  # fmt: skip
    prompts = {"hidden_size": 16, "image_size": 64, "patch_size": 16, "mask_input_channels": 4}
    decoder = {"hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = SamConfig(
        vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder | {"iou_head_hidden_dim": 16}
    )
    processor = SamImageProcessorPil(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    return _saved(path, SamModel(config), processor)
