"""`polyserve manifest`: what is printed is a manifest, or says why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from server.cli.main import run


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> list[dict[str, Any]]:
    assert run(["manifest", *argv]) == 0
    return list(yaml.safe_load_all(capsys.readouterr().out))


def test_of_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    (service,) = printed(capsys, "s3://bucket/models/Iris_1", "--trust=safe", "--image=mine:1", "--cpu=500m")
    container = service["spec"]["predictor"]["containers"][0]
    assert service["metadata"]["name"] == "iris-1"
    assert container["env"] == [{"name": "STORAGE_URI", "value": "s3://bucket/models/Iris_1"}]
    assert container["image"] == "mine:1"
    assert container["resources"]["requests"]["cpu"] == container["resources"]["limits"]["cpu"] == "500m"
    assert {"--trust=safe", "--model_name=iris-1"} <= set(container["args"])


def test_of_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "iris").mkdir()
    with (tmp_path / "iris" / "big.bin").open("wb") as stream:
        stream.truncate(3 * 2**30)  # a hole
    assert run(["manifest", str(tmp_path / "iris"), "--kind=deployment", "--name=mine"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"# Copy {tmp_path}/iris to the folder iris of the claim models first")
    deployment, service = yaml.safe_load_all(out)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["volumeMounts"][-1]["subPath"] == "iris"
    assert container["resources"]["requests"]["memory"] == "11Gi"
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert "&id" not in out, "no anchors"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["s3://user:secret@bucket/x"], "s3://bucket/x has a secret in it"),
        (["https://host/x?sig=secret"], "https://host/x has a secret in it"),
        (["s3:///x"], "is not whole"),
        (["file:///models"], "would be a folder of the container"),
        (["oci+native://registry/image", "--kind=Deployment"], "take --kind=InferenceService"),
        (["s3://bucket/x", "--name=No_Name"], "--name=No_Name must be 1 to 63 of a-z"),
        (["s3://bucket/x", "--namespace=A"], "--namespace=A must be"),
        (["s3://bucket/x", "--memory=much"], "--memory=much must be a quantity of Kubernetes"),
        (["s3://bucket/x", "--cpu=1,2,3"], "--cpu=1,2,3 must be"),
        (["s3://bucket/x", "--cpu=1,500m"], "--cpu=1,500m requests more than its limit, which Kubernetes refuses"),
        (["s3://bucket/x", "--memory=1.5Gi,1536M"], "--memory=1.5Gi,1536M requests more than its limit"),
        (["s3://bucket/x", "--kind=Pod"], "'Pod' is not one of"),
    ],
)
def test_what_is_refused(capsys: pytest.CaptureFixture[str], argv: list[str], said: str) -> None:
    assert run(["manifest", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "secret@" not in err
    assert "sig=" not in err
