from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from server.config.flags import flags_of
from server.config.settings import Settings, SettingsError, command_line, unknown_variables

FLAGS = {flag.name: flag for flag in flags_of(Settings)}
#: KServe's flags whose default differs here, on purpose
OTHER_DEFAULT = {
    "enable_docs_url": True,
    "enable_latency_logging": False,
    "model_name": None,
    "grpc_max_send_message_length": -1,
    "grpc_max_receive_message_length": None,
}
#: settings that need another one, or a package, beside them
NOT_ALONE = {
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_ca_certs",
    "sandbox_network",
    "sandbox_read",
    "access_log_format",
    "verify_key",
    "payload_log_mode",
    "payload_log_share",
    "payload_log_headers",
    "verify_certificates",
    "verify_identity",
    "verify_issuer",
    "verify_trust_config",
}


def problems(*argv: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings.parse(argv, environ)
    return caught.value.problems


@pytest.fixture(scope="module")
def kserve_parser() -> argparse.ArgumentParser:
    kept, sys.argv = sys.argv, ["polyserve"]
    try:
        from kserve import model_server
    finally:
        sys.argv = kept
    return model_server.parser


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text("x")
    return str(tmp_path / "tls.crt"), str(tmp_path / "tls.key")


# --- KServe's flags ---------------------------------------------------------------------------------------------------


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.option_strings]


def test_every_flag_of_kserve_is_kept(kserve_parser: argparse.ArgumentParser) -> None:
    theirs = {action.dest: action.option_strings for action in actions(kserve_parser)}
    ours = {flag.name: [flag.flag] for flag in FLAGS.values() if flag.kserve}
    assert ours == theirs


def test_defaults_are_those_of_kserve_but_for_the_listed_ones(kserve_parser: argparse.ArgumentParser) -> None:
    theirs = vars(kserve_parser.parse_args([]))
    ours = {name: getattr(Settings(), name) for name in theirs}
    assert ours == {**theirs, **OTHER_DEFAULT}


def test_both_protocols_have_one_limit() -> None:
    assert Settings().max_message_bytes == Settings().max_body_bytes
    assert Settings(max_body_bytes=7).max_message_bytes == 7
    assert Settings(max_body_bytes=2**33).max_message_bytes == 2**31 - 1, "gRPC carries no more"
    for told in (-1, 5):
        assert Settings(grpc_max_receive_message_length=told).max_message_bytes == told


def samples_of(action: argparse.Action) -> list[str]:
    if action.choices:
        return [*action.choices, "neither"]
    if action.dest == "workers":
        return ["1"]
    if action.dest in NOT_ALONE:
        return []
    if action.dest == "log_config_file":
        return [__file__]
    return ["true", "False", "on", "no", "1", "70", "7.5", "seven"]


def test_values_are_read_as_kserve_reads_them(
    kserve_parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    compared = 0
    for action in actions(kserve_parser):
        takes_value = action.nargs != 0
        for sample in samples_of(action) if takes_value else []:
            argv = [action.option_strings[0], sample]
            try:
                expected: Any = getattr(kserve_parser.parse_args(argv), action.dest)
            except SystemExit:
                assert len(problems(*argv)) == 1, argv
            else:
                assert getattr(Settings.parse(argv, {}), action.dest) == expected, argv
            compared += 1
    assert compared > 120


def test_kserve_reads_its_argv_back_unchanged(
    kserve_parser: argparse.ArgumentParser, certificate: tuple[str, str]
) -> None:
    cert, key = certificate
    argv = ["--http_port=9001", "--enable_docs_url=no", "--event-loop=asyncio", "--model_name=iris"]
    argv += [
        "--predictor_host=a b",
        "--enable_predictor_health_check",
        "--grpc_max_receive_message_length=9",
        f"--ssl_certfile={cert}",
        f"--ssl_keyfile={key}",
    ]
    settings = Settings.parse(argv, {})
    program, *rest = settings.kserve_argv()
    read = vars(kserve_parser.parse_args(rest))  # refuses what it does not know
    assert program == "polyserve"
    assert read == {name: getattr(settings, name) for name in read}


def test_kserve_gets_its_own_model_name_when_none_is_given(kserve_parser: argparse.ArgumentParser) -> None:
    assert kserve_parser.parse_args(Settings().kserve_argv()[1:]).model_name == "model"


# --- where a value comes from -----------------------------------------------------------------------------------------


def test_flag_beats_environment_beats_default() -> None:
    environ = {"POLYSERVE_HTTP_PORT": "1001", "POLYSERVE_GRPC_PORT": "1002", "MODEL_NAME": "env"}
    settings = Settings.parse(["--http_port", "2001"], environ)
    assert (settings.http_port, settings.grpc_port, settings.model_name, settings.max_threads) == (2001, 1002, "env", 4)


@pytest.mark.parametrize("name", [name for name in FLAGS if name not in NOT_ALONE])
def test_every_setting_has_flag_and_variable(name: str, tmp_path: Path) -> None:
    flag = FLAGS[name]
    shown = {"model_dir": str(tmp_path), "model_name": "m", "max_asyncio_workers": "3", "log_config_file": __file__}
    shown |= {"shutdown_delay": "0", "max_bodies_bytes": "1GiB", "allowed_origins": "https://example.com *"}
    shown |= {"grpc_max_receive_message_length": "9", "root_path": "/ml", "api_keys_file": __file__}
    shown |= {"log_level": "debug", "payload_log": "s3://bucket/logs"}
    shown |= {"models": "a=s3://bucket/a b=gs://bucket/b", "storage_uri": "s3://bucket/a", "memory_budget": "60%"}
    text = shown.get(flag.name) or (flag.default_text if flag.default is not None else "value")
    by_flag = Settings.parse([f"{flag.flag}={text}"], {})
    by_variable = Settings.parse([], {flag.env: text})
    assert getattr(by_flag, flag.name) == getattr(by_variable, flag.name) == flag.kind.read(text)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("model_dir", "MODEL_DIR"),
        ("model_name", "MODEL_NAME"),
        ("predict_proba", "PREDICT_PROBA"),
        ("ssl_certfile", "KSERVE_TLS_CERT_FILE"),
        ("ssl_keyfile", "KSERVE_TLS_KEY_FILE"),
        ("max_queue", "POLYSERVE_MAX_QUEUE"),
        ("storage_uri", "STORAGE_URI"),
    ],
)
def test_variables_known_from_kserve_keep_their_names(name: str, variable: str) -> None:
    assert FLAGS[name].env == variable


def test_a_flag_that_repeats_gathers_its_values() -> None:
    environ = {"POLYSERVE_MODEL": "a=s3://bucket/a  b=gs://bucket/b\nc=https://host/c"}
    assert [name for name, _ in Settings.parse([], environ).models] == ["a", "b", "c"]
    argv = ["--model", "x=s3://bucket/x", "--http_port=1", "--model=y=hf://owner/y"]
    assert [name for name, _ in Settings.parse(argv, environ).models] == ["x", "y"]
    with pytest.raises(SettingsError, match=r"'x' is the name of s3://bucket/x already"):
        Settings.parse([*argv, "--model=x=s3://bucket/other"], {})


def test_what_is_secret_in_an_address_is_not_repeated() -> None:
    for argv in (["--model", "x=ftp://user:hush@host/x?sig=hush"], ["--storage_uri=https://user:hush@host/?sig=hush"]):
        with pytest.raises(SettingsError) as refused:
            Settings.parse(argv, {})
        assert "://host/" in str(refused.value)
        assert "hush" not in str(refused.value)


def test_spellings_of_a_flag() -> None:
    for argv in (
        ["--http_port=99"],
        ["--http-port=99"],
        ["--http-port", "99"],
        ["--http_port", "1", "--http_port", "99"],
    ):
        assert Settings.parse(argv, {}).http_port == 99
    assert Settings.parse(["--event_loop=uvloop", "--timeout_keep_alive", "5"], {}).event_loop == "uvloop"


def test_a_switch_may_stand_alone() -> None:
    assert Settings.parse(["--access_log", "--http_port=1"], {}).access_log
    assert Settings.parse(["--access_log"], {}).access_log
    assert not Settings.parse(["--access-log", "false"], {"POLYSERVE_ACCESS_LOG": "true"}).access_log


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.parse([], {"MODEL_NAME": "", "POLYSERVE_HTTP_PORT": " "}) == Settings()


def test_service_links_of_kubernetes_are_no_ports() -> None:
    assert Settings.parse([], {"POLYSERVE_HTTP_PORT": "tcp://10.0.0.7:80"}).http_port == 8080
    assert unknown_variables(Settings, {"POLYSERVE_SERVICE_HOST": "10.0.0.7", "POLYSERVE_PORT_80_TCP": "x"}) == []


def test_a_mistyped_variable_is_named() -> None:
    warnings = unknown_variables(Settings, {"POLYSERVE_MAX_QUEU": "3", "POLYSERVE_READY": "any", "PATH": "/bin"})
    assert warnings == ["POLYSERVE_MAX_QUEU is not a setting; did you mean POLYSERVE_MAX_QUEUE?"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("1048576", 2**20),
        ("100MiB", 100 * 2**20),
        ("2Gi", 2**31),
        ("1.5 kib", 1536),
        ("3MB", 3_000_000),
        ("7b", 7),
    ],
)
def test_sizes(text: str, count: int) -> None:
    assert Settings.parse(["--max_body_bytes", text], {}).max_body_bytes == count


def test_settings_are_typed_and_frozen() -> None:
    settings = Settings.parse(["--request_timeout=1.5", "--model_dir=models"], {})
    assert settings.request_timeout == 1.5
    assert settings.model_dir == Path("models")
    with pytest.raises(FrozenInstanceError):
        settings.http_port = 1  # type: ignore[misc]


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--modeldir", "x"], "unknown flag --modeldir; did you mean --model_dir?"),
        (["--http_por=1"], "unknown flag --http_por; did you mean --http_port?"),
        (["--keep-alive=3"], "unknown flag --keep-alive; did you mean --timeout-keep-alive?"),
        (["--qqq"], "unknown flag --qqq; --help lists the known ones"),
        (["--"], "unknown flag --; --help lists the known ones"),
        (["models"], "unexpected argument models: a setting is a flag, --name=value"),
        (["-x", "--trial"], "unexpected argument -x: a setting is a flag, --name=value"),
        (["--http_port=99999"], "--http_port=99999: must be between 0 and 65535"),
        (["--http-port", "-1"], "--http_port=-1: must be between 0 and 65535"),
        (["--http_port=http"], "--http_port=http: must be a whole number, between 0 and 65535"),
        (["--http_port"], "--http_port: needs a value, as in --http_port=PORT"),
        (["--model_name", "--trial"], "--model_name: needs a value, as in --model_name=NAME"),
        (["--max_queue=0"], "--max_queue=0: must be at least 1"),
        (["--workers=0"], "--workers=0: must be between 1 and 64"),
        (["--ready=yes"], "--ready=yes: must be scan, any or all"),
        (["--trial=maybe"], "--trial=maybe: must be true or false"),
        (["--load_timeout=inf"], "--load_timeout=inf: must be a number of seconds above 0, at most 86400"),
        (["--load_timeout=nan"], "--load_timeout=nan: must be a number of seconds above 0, at most 86400"),
        (["--request_timeout=0"], "--request_timeout=0: must be a number of seconds above 0, at most 86400"),
        (["--max_body_bytes=lots"], "--max_body_bytes=lots: must be a number of bytes, such as 1048576, 1MiB or 1MB"),
        (
            ["--max_body_bytes=0.5"],
            "--max_body_bytes=0.5: must be at least 1 byte and fit 64 bits, such as 1048576, 1MiB or 1MB",
        ),
        (["--model_name="], "--model_name=: must be a name for an address: not empty, no space, none of / ? # %"),
        (["--model_name=a/b"], "--model_name=a/b: must be a name for an address: not empty, no space, none of / ? # %"),
        (
            ["--model_dir=s3://bucket/x"],
            "--model_dir=s3://bucket/x: must be a directory of this machine; "
            "remote storage has to be mounted or copied first",
        ),
        (
            ["--http_port=8081", "--grpc_frontend=grpcio"],
            "--http_port=8081 and --grpc_port=8081: with --grpc_frontend=grpcio the two servers need different ports; "
            "the server's own HTTP/2 (--grpc_frontend=http2) shares one with REST",
        ),
        (
            ["--log_config_file=/nowhere/log.yaml"],
            "--log_config_file=/nowhere/log.yaml: must be a file that can be read (No such file or directory)",
        ),
    ],
)
def test_a_mistake_is_named(argv: list[str], message: str) -> None:
    assert problems(*argv) == (message,)


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    assert problems(POLYSERVE_HTTP_PORT="none") == (
        "POLYSERVE_HTTP_PORT=none: must be a whole number, between 0 and 65535",
    )
    assert problems(PREDICT_PROBA="si") == ("PREDICT_PROBA=si: must be true or false",)


def test_a_wrong_variable_does_not_matter_when_the_flag_is_given() -> None:
    assert Settings.parse(["--http_port=1"], {"POLYSERVE_HTTP_PORT": "none"}).http_port == 1


def test_all_mistakes_are_named_at_once() -> None:
    assert len(problems("--modeldir=x", "--http_port=x", "--ready=x", POLYSERVE_MAX_QUEUE="x")) == 4


def test_a_hostile_value_is_shown_bounded_and_on_one_line() -> None:
    (message,) = problems("--http_port=" + "9" * 10_000)
    assert len(message) < 200
    (message,) = problems("--ready=a\n\x1b[31mb\udcff")
    assert message == r"--ready='a\n\x1b[31mb\udcff': must be scan, any or all"


def test_user_ids_are_a_range_or_none() -> None:
    assert Settings.parse(["--worker_uids=2000-2001"], {}).worker_uids == (2000, 2001)
    assert Settings.parse(["--worker_uids=none"], {}).worker_uids is None
    for wrong in ("2000", "0-5", "3000-2000", "a-b", "1000-99999999999"):
        assert "must be user ids" in problems(f"--worker_uids={wrong}")[0]


# --- the command line as a user meets it ------------------------------------------------------------------------------


def test_a_mistake_ends_the_program_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line(["--modeldir", "x", "--ready=x"], {})
    assert ended.value.code == 2
    assert capsys.readouterr() == (
        "",
        "polyserve: unknown flag --modeldir; did you mean --model_dir?\n"
        "polyserve: --ready=x: must be scan, any or all\n",
    )


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["--http_port=x", "--help"]])
def test_help_names_everything_within_80_columns(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line(argv, {})
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert max(len(line) for line in text.splitlines()) <= 80
    for flag in FLAGS.values():
        assert f"\n  {flag.usage}\n" in text
        assert f"\n      [{flag.env}, default: {flag.default_text}]\n" in text
        assert text.count(f"\n{flag.group}:\n") == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line(["--version"], {})
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("polyserve ")


def test_settings_import_nothing_heavy() -> None:
    script = (
        "import sys\nfrom server.config.settings import command_line\n"
        "try:\n    command_line(['--help'], {})\n"
        "finally:\n    heavy = {'kserve', 'numpy', 'fastapi', 'yaml', 'argparse'} & set(sys.modules)\n"
        "    print('heavy:', sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == "heavy: []\n"


def test_the_module_prints_its_table_as_markdown() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server.config.settings"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.count("### ") == len({flag.group for flag in FLAGS.values()})
    rows = [line for line in done.stdout.splitlines() if line.startswith("| `--")]
    assert len(rows) == len(FLAGS)
    assert all(row.replace(r"\|", "").count("|") == 5 for row in rows)
    assert r"| `--ready=scan\|any\|all` | `POLYSERVE_READY` | scan | When the server" in done.stdout
