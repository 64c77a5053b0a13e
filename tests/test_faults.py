"""What public models, requests and clients once showed, and the tests that hold the right values.

F: tables, ONNX, MLflow. D: texts, deep learning, archives, code of users' own. C: protocols and clients. A test is
`file::function`, or a folder of the corpus. What stays as it was says why.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
A, S, SKLEARN, HF = "adapters", "server", "adapters/sklearn_", "adapters/huggingface_"
REST, CODEC, ONNX = "server/api/rest", "server/codec", "adapters/onnx_/test_adapter.py"

FAULTS: dict[str, tuple[str, list[str]]] = {
    "F1": ("whole numbers of a category column are exact", ["corpus/ids", "corpus/lightgbm_ids", "corpus/xgboost_ids"]),
    "F2": ("encoders on object columns", ["corpus/objects", "corpus/imputed_objects"]),
    "F3": ("what is not known is taken as sent", ["corpus/month", f"{SKLEARN}/test_declared.py"]),
    "F4": ("columns that pass through; dates", ["corpus/passthrough", "corpus/dates", "corpus/mixed_columns"]),
    "F5": (
        "KServe's data frames in V1",
        [f"{CODEC}/test_data_frames.py::test_an_instance_is_what_pandas_makes_of_it", "corpus/lightgbm_frame"],
    ),
    "F6": ("a missing value into ONNX", [f"{ONNX}::test_a_missing_value_is_null"]),
    "F7": (
        "CatBoost in a pickle",
        [
            f"{SKLEARN}/test_loading.py::test_catboost_within_a_model_is_served",
            f"{SKLEARN}/test_files.py::test_a_bare_catboost_model_gets_its_way_out",
        ],
    ),
    "F8": ("pandas 3", [f"{SKLEARN}/test_versions.py::test_what_pandas_3_wrote_names_an_environment"]),
    "F9": ("dictionaries", ["corpus/dicts", "corpus/hasher"]),
    "F10": (
        "methods of str; what dill wrote",
        [
            "corpus/split",
            f"{A}/formats/pickles/test_policy.py::test_a_method_of_texts_is_allowed",
            f"{A}/formats/pickles/test_policy.py::test_arrays_that_dill_wrote",
        ],
    ),
    "F11": ("a locale that is missing", [f"{A}/onnx_/test_types.py::test_a_locale_that_the_system_lacks"]),
    "F12": (
        "recognised by the bytes under any name",
        ["corpus/saved_as_sav", f"{A}/test_names_of_files.py::test_compressed_pickles"],
    ),
    "F13": (
        "MLServer's outputs by method",
        [
            f"{A}/shared/test_methods.py::test_several_outputs_are_several_methods",
            f"{CODEC}/test_parameters.py::test_outputs_that_are_methods",
        ],
    ),
    "F14": ("numbers stay numbers beside texts", ["corpus/mixed_answer"]),
    "F15": (
        "early stopping by the scikit-learn class",
        [f"{A}/xgboost_/test_runner.py::test_a_file_of_the_scikit_learn_class_is_used_up_to_its_best_round"],
    ),
    "F16": ("trust: full is told", [f"{A}/formats/pickles/test_policy.py::test_a_refusal_names_the_way_out"]),
    "F17": (
        "MLflow's dates and extra columns",
        [
            f"{A}/mlflow_/test_adapter.py::test_dates_with_a_time_and_without_and_columns_that_the_model_lacks",
            f"{S}/loading/test_described_columns.py::test_columns_that_the_signature_lacks_are_left_out",
            "corpus/mlflow_columns",
        ],
    ),
    "F19": (
        "XGBoost's categories without names",
        [
            f"{A}/xgboost_/test_adapter.py::test_a_file_without_the_names_of_categories_says_what_to_send",
            f"{SKLEARN}/test_loading.py::test_xgboosts_categories_without_names_say_what_to_send",
        ],
    ),
    "F20": (
        "XGBoost's old binary under every name",
        [
            f"{A}/xgboost_/test_old.py::test_the_old_format_is_told_under_every_ending",
            f"{S}/loading/environments/test_old_versions.py::test_xgboosts_old_binary_format",
        ],
    ),
    "F21": (
        "one [N, 1] input a column",
        [
            "corpus/onnx_columns",
            f"{ONNX}::test_one_tensor_a_column_takes_values_rows_and_frames",
            f"{ONNX}::test_a_column_over_v2_is_a_vector_too",
        ],
    ),
    "F22": ("a fixed batch", [f"{ONNX}::test_a_fixed_batch_is_as_many_instances"]),
    "F23": ("nearest neighbours", ["corpus/neighbours", "corpus/outliers"]),
    "F24": (
        "NaN in JSON; masks of infinities",
        [
            f"{CODEC}/test_json_bodies.py::test_null_stands_for_a_missing_value_and_nan_for_none",
            f"{ONNX}::test_an_attention_mask_of_infinities_is_taken",
        ],
    ),
    "F25": (
        "messages speak as the client does",
        [
            f"{CODEC}/test_instances.py::test_refusals_speak_as_the_client_does",
            f"{ONNX}::test_a_type_that_v2_lacks_is_refused",
        ],
    ),
    "F27": (
        "a model that refuses its own example says so; an optimisation's doubts are DEBUG",
        [
            "corpus/refuses",
            f"{S}/repository/test_lifecycle.py::test_what_refuses_its_own_example_says_so",
            f"{SKLEARN}/direct/test_build.py",
            f"{S}/runtime/test_drain.py::test_grpc_has_nothing_to_say_of_it",
        ],
    ),
    "D1": (
        "pairs of texts",
        [
            f"{HF}/test_pairs.py::test_a_reranker_without_any_mark_scores_pairs_as_the_library",
            f"{HF}/test_pairs.py::test_the_librarys_own_marks_in_the_configuration_are_honoured",
        ],
    ),
    "D2": ("truncate_dim", [f"{HF}/test_sentence.py::test_a_folder_says_how_it_makes_its_vectors"]),
    "D3": (
        "what a component writes without saying so",
        [f"{A}/spacy_/test_writes.py::test_a_span_ruler_sets_what_it_is_configured_to", "corpus/spacy_spans"],
    ),
    "D5": (
        "an adapter beside its base",
        [f"{A}/formats/test_companions.py::test_a_file_that_changes_the_answers_is_named_with_the_way_out"],
    ),
    "D6": (
        "TensorFlow Serving's first examples",
        [
            "e2e/test_tensorflow.py::test_the_example_of_tensorflow_serving",
            f"{A}/tensorflow_/test_saved_model.py::test_values_are_rows_and_the_answer_is_as_flat",
        ],
    ),
    "D7": ("an async generator", ["e2e/test_streams.py::test_each_part_comes_before_the_next_is_made"]),
    "D9": (
        "the app around a custom model",
        [
            f"{A}/custom_/test_application.py::test_predictions_see_what_the_lifespan_made_and_it_is_left_at_the_end",
            f"{A}/custom_/test_middleware.py::test_an_answer_gets_the_headers_of_every_layer",
            f"{A}/custom_/test_application.py::test_what_is_not_used_is_named",
        ],
    ),
    "D12": ("adapters/README says what is served", [f"{A}/test_writing.py"]),
    "D13": (
        "parameters that nobody knows",
        [f"{CODEC}/test_parameters.py::test_parameters_that_cannot_be_meant_are_refused", f"{HF}/test_tasks.py"],
    ),
    "D14": ("the true cause", [f"{HF}/test_architecture.py::test_a_folder_without_a_tokenizer_says_the_true_cause"]),
    "D15": ("an error's end", [f"{A}/shared/test_messages.py::test_brief_keeps_the_end_which_names_the_cause"]),
    "D16": ("native stacks", [f"{A}/shared/test_messages.py::test_stack_traces_of_native_libraries_are_cut"]),
    "D17": (
        "spaCy's packages and wheels",
        [
            f"{A}/spacy_/test_package.py::test_a_package_is_found_from_any_of_its_folders",
            f"{A}/spacy_/test_package.py::test_the_contents_of_a_wheel_are_a_package",
            f"{A}/spacy_/test_package.py::test_code_of_a_package_runs_in_a_worker_alone",
        ],
    ),
    "D18": ("TF1's reference types", [f"{A}/tensorflow_/test_saved_model.py::test_the_output_is_a_variable"]),
    "D19": (
        "one level down",
        [
            f"{A}/formats/test_nested.py::test_a_hubs_cache_is_served_at_main",
            f"{A}/formats/test_nested.py::test_a_single_checkpoint_is_served_and_several_are_named",
            f"{A}/formats/test_nested.py::test_models_in_a_store_of_mlflows_runs_are_named",
        ],
    ),
    "D20": (
        "routes of those who migrate",
        [
            f"{REST}/test_paths.py::test_a_verb_that_there_is_not_names_those_that_there_are",
            f"{S}/repository/test_state.py::test_what_the_files_call_their_version_is_a_label_of_a_folder_without_any",
        ],
    ),
    "D21": ("a partial `ts`", [f"{A}/torchserve_/test_handlers.py::test_a_handler_that_cannot_be_loaded_says_why"]),
    "D22": (
        "a tokenizer beside a graph, Triton's names, a predictor that is away",
        [
            f"{ONNX}::test_a_tokenizer_that_is_not_used_is_told",
            f"{A}/torch_/test_triton.py::test_a_program_is_asked_by_tritons_names",
            f"{A}/torch_/test_triton.py::test_the_file_stands_above_the_folder_of_a_version",
            f"{A}/custom_/test_predictor.py::test_a_predictor_that_is_away_is_503_with_its_address",
        ],
    ),
    "D23": (
        "one traceback a failure, none of gRPC's; trials are forks; KServe is imported without its Kubernetes client. "
        "Workers stay fresh processes: they need their own user id, sandbox and interpreter, and none of the server's "
        "secrets, which a fork of a parent that has imported KServe (and its threads) would not have",
        [
            f"{S}/inference/test_failure_log.py::test_a_failure_in_a_worker_shows_the_workers_traceback_once",
            f"{S}/runtime/test_drain.py::test_grpc_has_nothing_to_say_of_it",
            f"{A}/shared/test_lean_kserve.py::test_neither_kubernetes_nor_a_command_line_is_imported",
        ],
    ),
    "C1": ("scalars are rows of one column", ["e2e/test_tensorflow.py::test_the_example_of_tensorflow_serving"]),
    "C2": ("the graph's shape wins", [f"{A}/tensorflow_/test_saved_model.py::test_one_value_is_a_whole_tensor"]),
    "C3": (
        "offers of other protocols",
        [f"{REST}/test_bounded_protocol.py::test_an_offer_of_another_protocol_is_ignored"],
    ),
    "C4": ("?model_version=", [f"{REST}/test_paths.py::test_the_query_names_the_version_too"]),
    "C5": (
        "KServe's LightGBM request",
        [f"{CODEC}/test_data_frames.py::test_rows_of_several_frames", "corpus/lightgbm_records"],
    ),
    "C6": ("Triton's load and unload", ["e2e/test_triton_clients.py::test_every_call_works_or_is_refused_by_name"]),
    "C7": (
        "class_count, shared memory",
        [
            "conformance/test_tritonclient.py::test_class_count",
            "conformance/test_tritonclient.py::test_shared_memory_is_refused_by_its_name",
        ],
    ),
    "C8": ("compressed bodies", [f"{REST}/test_content_coding.py::test_what_was_compressed_comes_back"]),
    "C9": (
        "index, configuration, statistics, streams",
        [
            "e2e/test_triton_clients.py::test_what_is_told_is_so",
            f"{S}/api/triton/test_configuration.py",
            f"{S}/api/grpc/test_final_response.py",
        ],
    ),
    "C10": ("TF Serving's status", [f"{REST}/test_facts.py::test_v1_tells_kserves_status_and_tensorflow_servings"]),
    "C11": ("other verbs", [f"{REST}/test_paths.py::test_a_verb_that_there_is_not_names_those_that_there_are"]),
    "C12": ("GET of a prediction", [f"{REST}/test_methods.py::test_predictions_are_asked_by_post"]),
    "C13": ("HEAD", [f"{REST}/test_methods.py::test_head_is_asked_as_get"]),
    "C14": (
        "our own description",
        [
            "e2e/test_described.py::test_every_example_is_answered",
            "e2e/test_described.py::test_nothing_is_described_that_is_not_so",
        ],
    ),
    "C15": (
        "TorchServe's `data` and `body`",
        [f"{A}/torchserve_/test_handlers.py::test_a_handler_finds_the_value_under_both_names"],
    ),
    "C16": (
        "version 1 of one without",
        [f"{S}/repository/test_state.py::test_a_folder_without_versions_is_version_1_while_it_is_alone"],
    ),
    "C17": (
        "bodies in the wrong place",
        [
            f"{CODEC}/test_v1.py::test_a_body_of_v2_is_told_where_it_goes",
            f"{CODEC}/test_json_bodies.py::test_bodies_that_are_no_json_object",
        ],
    ),
    "C18": ("NaN", [f"{CODEC}/test_json_bodies.py::test_numbers_beyond_json_are_taken_where_the_model_takes_them"]),
    "C19": ("BF16", [f"{A}/torch_/test_values.py::test_bfloat16_travels_as_its_wider_sister"]),
    "C20": (
        "MLServer's content types",
        [
            f"{CODEC}/test_content_types.py::test_base64_is_decoded",
            f"{CODEC}/test_content_types.py::test_what_is_not_known_is_refused_by_its_name",
        ],
    ),
    "C21": ("a slash behind", [f"{REST}/test_methods.py::test_a_slash_behind_is_left_out"]),
    "C22": ("a tensor alone", [f"{CODEC}/test_v2.py::test_a_tensor_alone_is_refused_by_its_name"]),
    "C23": (
        "preflights, OPTIONS /, TorchServe's /models",
        [
            f"{REST}/test_cors.py",
            f"{REST}/test_methods.py::test_options_of_the_root_are_the_description_of_all_routes",
            f"{REST}/test_torchserve_management.py::test_models_are_listed_once_each_by_pages",
        ],
    ),
    "C24": (
        "names that look the same",
        [
            f"{S}/repository/test_store.py::test_a_name_is_found_however_unicode_spells_it",
            f"{CODEC}/test_error_text.py::test_a_name_that_looks_the_same_is_told_apart",
        ],
    ),
    "C25": (
        "an empty batch stays refused: no estimator takes one, and merged calls have none",
        [f"{CODEC}/test_v2.py::test_a_mistake_is_named"],
    ),
}


@cache
def functions(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_mended_has_tests_that_are_there(fault: str) -> None:
    _, tests = FAULTS[fault]
    assert tests
    for test in tests:
        file, _, function = test.partition("::")
        if file.startswith("corpus/"):
            assert (ROOT / file / "make.py").is_file(), test
            assert list((ROOT / file).glob("*.json")), test
        else:
            assert not function or function in functions(ROOT / file), test
            assert functions(ROOT / file), test
