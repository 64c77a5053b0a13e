"""The private parts of other libraries that `server/` and `adapters/` use: each may move with any new version.

One table; `test_borrowed` looks for every part under its name, and for uses that are not in the table.
"""

from __future__ import annotations

import asyncio
import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any


@dataclass(frozen=True)
class Borrowed:
    """A part that its library does not promise to keep."""

    library: str  #: the distribution
    name: str  #: from the library's import name on
    files: tuple[str, ...]  #: that use it
    why: str
    #: makes the object that has it, where its class has not; it is what stands before the last dot of the name
    instance: Callable[[], Any] | None = None
    slow: bool = False  #: its library takes seconds to import

    def __str__(self) -> str:
        return self.name

    def find(self) -> Any:
        """The part itself.

        Raises:
            ImportError, AttributeError: it is not where it was.
        """
        if self.instance is not None:
            return attrgetter(self.name.rpartition(".")[2])(self.instance())
        return resolve(self.name)


def resolve(name: str) -> Any:
    """What a dotted name stands for: the longest module of that name, and attributes of it."""
    module, rest = name, ""
    while True:
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}.") or "." not in module:
                raise
            module, _, last = module.rpartition(".")
            rest = f"{last}.{rest}" if rest else last
        else:
            return attrgetter(rest)(found) if rest else found


def uvicorn_protocol() -> Any:
    """uvicorn's HTTP protocol on a connection, within its first request."""

    async def connected() -> Any:
        from uvicorn import Config
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
        from uvicorn.server import ServerState

        config = Config(_application, lifespan="off", log_config=None)
        config.load()
        protocol = HttpToolsProtocol(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(_Transport())  # type: ignore[arg-type]
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await asyncio.gather(*protocol.tasks)
        return protocol

    return asyncio.run(connected())


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class _Transport:
    """Takes everything and does nothing."""

    def get_extra_info(self, name: str) -> None: ...

    def write(self, data: bytes) -> None: ...

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...


def _uvicorn_server() -> Any:
    from uvicorn import Config, Server

    return Server(Config(_application, log_config=None))


def _uvicorn_state() -> Any:
    from uvicorn.server import ServerState

    return ServerState()


def _rest_server() -> Any:
    from kserve import ModelRepository
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension
    from kserve.protocol.rest.server import RESTServer

    models = ModelRepository()
    extension = ModelRepositoryExtension(models)
    return RESTServer(_application, DataPlane(models), extension, 0)  # type: ignore[arg-type]


def _extension() -> Any:
    from kserve import ModelRepository
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension

    return ModelRepositoryExtension(ModelRepository())


def fitted(name: str, **parameters: Any) -> Callable[[], Any]:
    """Makes a scikit-learn estimator that has seen twelve rows of two classes."""

    def make() -> Any:
        import numpy as np

        rows = np.random.default_rng(0).normal(size=(12, 3))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # twelve rows are not enough for some
            return resolve(name)(**parameters).fit(rows, np.arange(12) % 2)

    return make


def _functional_model() -> Any:
    import keras

    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.layers.Dense(1)(inputs))


def _torch_module() -> Any:
    import torch

    return torch.nn.Module()


def _lightgbm_booster() -> Any:
    import lightgbm
    import numpy as np

    data = lightgbm.Dataset(np.arange(40.0).reshape(-1, 1), np.arange(40.0))
    return lightgbm.train({"verbose": -1, "num_threads": 1}, data, 1)


def _xgboost_classifier() -> Any:
    import numpy as np
    import xgboost

    return xgboost.XGBClassifier(n_estimators=1).fit(np.eye(4), [0, 1, 0, 1])


_PROTOCOL = "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol"
_FAST = ("server/api/rest/fast_protocol.py",)
_TRANSPORT = ("server/api/rest/transport.py",)
_BOUNDED = ("server/api/rest/bounded_protocol.py",)
_SHUTDOWN = ("server/api/shutdown.py",)
_DIRECT = "adapters/sklearn_/direct"


def _of_protocol(name: str, files: tuple[str, ...], why: str) -> Borrowed:
    return Borrowed("uvicorn", f"{_PROTOCOL}.{name}", files, why, uvicorn_protocol)


def _of_cycle(name: str, files: tuple[str, ...], why: str) -> Borrowed:
    cycle = "uvicorn.protocols.http.httptools_impl.RequestResponseCycle"
    return Borrowed("uvicorn", f"{cycle}.{name}", files, why, lambda: uvicorn_protocol().cycle)


def _of_storage(name: str, module: str, why: str) -> Borrowed:
    return Borrowed("kserve-storage", f"kserve_storage.{name}", (f"server/loading/storage/{module}.py",), why)


def _of_estimator(name: str, file: str, why: str, **parameters: Any) -> Borrowed:
    estimator = f"sklearn.{name.rpartition('.')[0]}"
    return Borrowed(
        "scikit-learn", f"sklearn.{name}", (f"adapters/sklearn_/{file}.py",), why, fitted(estimator, **parameters)
    )


def _of_sklearn(name: str, file: str, why: str) -> Borrowed:
    return Borrowed("scikit-learn", f"sklearn.{name}", (f"adapters/sklearn_/{file}.py",), why)


def _of_torch(name: str, files: tuple[str, ...], why: str, instance: Callable[[], Any] | None = None) -> Borrowed:
    return Borrowed(
        "torch", f"torch.{name}", tuple(f"adapters/torch_/{file}.py" for file in files), why, instance, True
    )


BORROWED: tuple[Borrowed, ...] = (
    # uvicorn: small requests are answered from the socket, beside its own parser and under its own time-outs
    Borrowed("uvicorn", "uvicorn.protocols.http.httptools_impl.STATUS_LINE", (*_FAST, *_BOUNDED),
             "the first line of an answer"),
    Borrowed("uvicorn", "uvicorn.protocols.http.flow_control.FlowControl", _BOUNDED, "held back while others wait"),
    _of_protocol("cycle", (*_FAST, *_BOUNDED), "is a request of uvicorn's own in flight?"),
    _of_protocol("flow", (*_FAST, *_BOUNDED, *_TRANSPORT), "is the client slow to read?"),
    _of_protocol("parser", _BOUNDED, "is fed request by request, and made anew where another protocol is offered"),
    _of_protocol("url", _BOUNDED, "of the head that is then read again"),
    _of_protocol("headers", _BOUNDED, "are counted, say how long a body is, and are read again"),
    _of_protocol("pipeline", (*_BOUNDED, *_TRANSPORT), "who waits behind the request in flight"),
    _of_protocol("loop", (*_FAST, *_BOUNDED, *_TRANSPORT), "the event loop"),
    _of_protocol("access_log", _FAST, "whether every request is uvicorn's to log"),
    Borrowed("uvicorn", "uvicorn.server.ServerState.total_requests", _FAST, "counts answers", _uvicorn_state),
    Borrowed("uvicorn", "uvicorn.server.ServerState.default_headers", (*_FAST, *_BOUNDED), "Server and Date",
             _uvicorn_state),
    _of_protocol("_unset_keepalive_if_required", _BOUNDED, "stops uvicorn's timer: ours looks after all"),
    _of_protocol("_should_upgrade", _BOUNDED, "overridden: never"),
    _of_protocol("_start_asgi_task", _TRANSPORT, "overridden, to know the request that is being answered"),
    _of_protocol("on_message_begin", _BOUNDED, "overridden: the parser is within a request"),
    _of_protocol("on_header", _BOUNDED, "overridden: headers are counted, and trailers are none"),
    _of_protocol("on_headers_complete", (*_FAST, *_BOUNDED), "overridden: the last answer on a connection says so"),
    _of_protocol("on_body", _BOUNDED, "overridden: how much of an answered request is still read"),
    _of_protocol("on_message_complete", (*_BOUNDED, *_TRANSPORT), "overridden: the parser is through with a request"),
    _of_protocol("on_response_complete", _BOUNDED, "overridden: what has been held is read"),
    _of_protocol("shutdown", _FAST, "overridden: what is in flight is answered first"),
    _of_cycle("response_complete", (*_BOUNDED, *_TRANSPORT), "has a request been answered?"),
    _of_cycle("response_started", _BOUNDED, "or has that begun?"),
    _of_cycle("keep_alive", (*_FAST, *_BOUNDED), "an answer is the last on its connection"),
    _of_cycle("disconnected", (*_BOUNDED, *_TRANSPORT), "the client has hung up"),
    _of_cycle("message_event", (*_BOUNDED, *_TRANSPORT), "wakes who waits for that"),
    Borrowed("uvicorn", "uvicorn.server.Server.started", ("server/api/kserve/rest_server.py",), "it takes connections",
             _uvicorn_server),
    Borrowed("uvicorn", "uvicorn.server.Server.should_exit", _SHUTDOWN, "tells it to stop", _uvicorn_server),
    Borrowed("uvicorn", "uvicorn.server.Server.handle_exit", (*_SHUTDOWN, "server/frontends/frontend_server.py"),
             "replaced: signals are ours"),
    Borrowed("uvicorn", "uvicorn.server.ServerState", ("server/frontends/internal_listener.py",), "an inner listener"),
    # KServe
    Borrowed("kserve", "kserve.protocol.rest.server.RESTServer._server",
             ("server/api/kserve/rest_server.py", "server/app.py", "server/frontends/frontend_server.py"),
             "uvicorn's server, to start it on our socket and to stop it", _rest_server),
    Borrowed("kserve", "kserve.protocol.model_repository_extension.ModelRepositoryExtension._model_registry",
             ("server/api/kserve/dataplane.py",), "our repository", _extension),
    Borrowed("kserve", "kserve.model_server.app", ("server/api/kserve/frame.py",), "KServe's FastAPI application"),
    Borrowed("kserve", "kserve.model_server.ModelServer.setup_event_loop", ("server/app.py",), "we run the loop"),
    _of_storage("kserve_storage._parse_patterns_from_env", "stores/base", "which files are wanted, as KServe says it"),
    _of_storage("kserve_storage._should_download", "stores/base", "the same"),
    _of_storage("kserve_storage._setup_oci_tls", "stores/kserve", "certificates of a registry"),
    _of_storage("kserve_storage._login_from_docker_config", "stores/kserve", "credentials of a registry"),
    _of_storage("kserve_storage._OCI_INSECURE_REGISTRY_ENV", "stores/kserve", "the name of a variable"),
    _of_storage("kserve_storage._OCI_DOCKER_CONFIG_PATH_ENV", "stores/kserve", "the same"),
    _of_storage("kserve_storage._OCI_DOCKER_CONFIG_PATH", "stores/kserve", "where credentials are by default"),
    _of_storage("Storage._configure_global_ca_bundle", "download_main", "certificates, as KServe is told them"),
    _of_storage("Storage._update_with_storage_spec", "stores/s3", "credentials of STORAGE_CONFIG"),
    _of_storage("Storage._get_s3_client_kwargs", "stores/s3", "endpoint, region and certificates of S3"),
    _of_storage("Storage._parse_azure_uri", "stores/azure", "account, container and path"),
    _of_storage("Storage._get_azure_storage_token", "stores/azure", "credentials"),
    _of_storage("Storage._get_azure_storage_access_key", "stores/azure", "the same"),
    # what else the server needs
    Borrowed("pip", "pip._internal.models.index.PyPI", ("server/loading/environments/requirements.py",),
             "the index that pip takes when it is told none"),
    # Python itself
    Borrowed("python", "_compat_pickle", ("adapters/formats/pickles/machine.py",), "Python 2's names of globals"),
    Borrowed("python", "pickle._Unpickler", ("adapters/formats/pickles/machine.py",),
             "the machine in Python, whose steps can be watched"),
    Borrowed("python", "pickle._Stop", ("adapters/formats/pickles/machine.py",), "the end of a pickle"),
    Borrowed("pyarrow", "pyarrow.lib._restore_array", ("adapters/formats/pickles/values.py",), "pandas 3's texts"),
    Borrowed("python", "tarfile.TarInfo._proc_member", ("adapters/torchserve_/archive.py",),
             "overridden, to bound an entry's header before it is read"),
    # PyTorch: programs are looked through before they are loaded
    Borrowed("transformers", "transformers.PreTrainedConfig._attn_implementation",
             ("adapters/generation/slot_support.py", "adapters/huggingface_/packed_rows.py"),
             "which attention the model had before, and has now", slow=True),
    Borrowed("transformers", "transformers.utils.chat_template_utils._compile_jinja_template",
             ("adapters/huggingface_/template_environment.py",),
             "what compiles all chat templates: ours counts what they make", slow=True),
    # torch: a matrix in the order that oneDNN multiplies it in, as torch.compile's frozen models have it
    *(
        Borrowed("torch", f"torch.ops.mkldnn.{name}", ("adapters/generation/packed_head.py",), why, None, True)
        for name, why in (("_reorder_linear_weight", "a copy in that order"), ("_linear_pointwise", "rows times it"))
    ),
    _of_torch("_C.PyTorchFileReader", ("records",), "the records of an archive, as torch itself reads them"),
    _of_torch("_C.CompilationUnit", ("script",), "what `torch.jit.load` keeps to itself"),
    _of_torch("_C.CompilationUnit.get_functions", ("script_audit",), "every graph of a program"),
    _of_torch("_C.import_ir_module", ("script",), "what `torch.jit.load` does, before it goes on"),
    _of_torch("jit._recursive.wrap_cpp_module", ("script",), "the same"),
    _of_torch("_C._jit_get_all_schemas", ("script_audit",), "every operator that is registered"),
    _of_torch("export.pt2_archive._package.load_pt2", ("exported",), "a program of an archive that is open already"),
    _of_torch("utils._pytree.tree_leaves", ("exported",), "the tensors of nested inputs"),
    _of_torch("utils._pytree", ("exported",), "and back"),
    _of_torch("_ops.HigherOrderOperator", ("operators",), "an operator that calls a graph"),
    _of_torch("_ops.OpOverloadPacket", ("operators",), "an ordinary operator"),
    *(
        _of_torch(f"nn.Module.{name}", ("exported_graphs",), "what a name leads to, methods left out", _torch_module)
        for name in ("_modules", "_parameters", "_buffers")
    ),
    Borrowed("keras", "keras.src.models.functional.Functional._inputs_struct", ("adapters/tensorflow_/keras_.py",),
             "how a model's inputs are nested", _functional_model, slow=True),
    Borrowed("tensorflow-cpu", "tensorflow.compat.v1.Session._make_callable_from_options",
             ("adapters/tensorflow_/session.py",), "runs of other shapes than declared", slow=True),
    # boosters
    Borrowed("catboost", "catboost.CatBoost._is_ranking_objective", ("adapters/catboost_.py",),
             "which of its classes a model was made by"),
    Borrowed("xgboost", "xgboost.XGBModel._get_iteration_range",
             ("adapters/sklearn_/explain.py", f"{_DIRECT}/boosters.py"), "the trees that a prediction is made of"),
    Borrowed("xgboost", "xgboost.core._LIB", ("adapters/xgboost_/dense_rows.py",), "the public C functions"),
    Borrowed("lightgbm", "lightgbm.basic._LIB", ("adapters/lightgbm_/single_rows.py",), "the public C functions"),
    Borrowed("lightgbm", "lightgbm.Booster._handle", ("adapters/lightgbm_/single_rows.py",),
             "what they know a booster by", _lightgbm_booster),
    Borrowed("xgboost", "xgboost.XGBClassifier._Booster", ("adapters/sklearn_/settle.py",),
             "to set its threads, where there is one", _xgboost_classifier),
    # scikit-learn: what `sklearn_/direct` calls without the checks around it, and what tells of columns
    _of_sklearn("ensemble._gradient_boosting.predict_stages", "direct/trees", "the compiled sum over trees"),
    _of_sklearn("ensemble._hist_gradient_boosting._predictor._predict_from_raw_data", "direct/boosting", "the same"),
    _of_sklearn("tree._tree.Tree.__getstate__", "direct/merged", "the nodes of a tree, to make one of many"),
    _of_sklearn("tree._tree.Tree.__setstate__", "direct/merged", "and back"),
    _of_sklearn("utils._array_api._logsumexp", "direct/models", "as naive Bayes takes it"),
    _of_sklearn("cluster._kmeans._labels_inertia", "direct/models", "the nearest centre"),
    _of_sklearn("neural_network._base.ACTIVATIONS", "direct/models", "a perceptron's functions"),
    _of_sklearn("ensemble.GradientBoostingClassifier._raw_predict_init", "direct/boosting", "the score before a tree"),
    _of_estimator("ensemble.GradientBoostingClassifier._loss", "direct/boosting", "scores to probabilities"),
    _of_estimator("ensemble.HistGradientBoostingClassifier._loss", "direct/boosting", "the same"),
    _of_estimator("ensemble.HistGradientBoostingClassifier._baseline_prediction", "direct/boosting", "the first score"),
    _of_estimator("ensemble.HistGradientBoostingClassifier._predictors", "direct/boosting", "its trees"),
    _of_estimator("ensemble.HistGradientBoostingClassifier._predictors", "damage", "are they whole?"),
    _of_estimator("ensemble.HistGradientBoostingClassifier._preprocessor", "direct/boosting", "has it categories?"),
    _of_estimator("ensemble.HistGradientBoostingClassifier._preprocessor", "columns", "which"),
    _of_estimator("ensemble.HistGradientBoostingClassifier._preprocessor", "damage", "how many columns it makes"),
    _of_estimator("ensemble.HistGradientBoostingClassifier._bin_mapper", "damage", "of which it has categories"),
    _of_sklearn("ensemble.GradientBoostingClassifier._raw_predict_init", "damage", "how many columns its stages have"),
    _of_sklearn("metrics._dist_metrics.EuclideanDistance64._validate_data", "damage", "is it of these features?"),
    # ... and the parts that native code takes on trust
    *(_of_estimator(f"svm.SVC.{name}", "sizes", "do they fit each other?")
      for name in ("_n_support", "_dual_coef_", "_intercept_", "_probA", "_probB", "_sparse")),
    *(_of_estimator(f"preprocessing.OneHotEncoder.{name}", "sizes", "the same", min_frequency=3)
      for name in ("_infrequent_enabled", "_infrequent_indices", "_default_to_infrequent_mappings",
                   "_drop_idx_after_grouping", "_n_features_outs")),
    *(_of_estimator(f"neighbors.KNeighborsClassifier.{name}", "sizes", "the same")
      for name in ("_fit_X", "_fit_method", "_y")),
    _of_estimator("cluster.BisectingKMeans._bisecting_tree", "sizes", "the same", n_clusters=2),
    *(Borrowed("pandas", f"pandas.{name}", ("adapters/formats/pickles/natives.py",), why)
      for name, why in (("core.indexes.base._new_Index", "as which indexes are pickled"),
                        ("Categorical._ndarray", "its codes"), ("Index._values", "its categories"))),
    Borrowed("numpy", "numpy.random.RandomState._bit_generator", ("adapters/formats/pickles/natives.py",),
             "where it reads its numbers"),
    _of_sklearn("ensemble.VotingClassifier._weights_not_none", "direct/composite", "the weights of those that vote"),
    _of_sklearn("calibration._SigmoidCalibration", "direct/composite", "is told by its name"),
    _of_estimator("linear_model.PoissonRegressor._base_loss", "direct/linear", "the link function"),
    _of_estimator("linear_model.RidgeClassifier._label_binarizer", "direct/linear", "one label or several?"),
    _of_estimator("neural_network.MLPClassifier._label_binarizer", "direct/models", "the same, and the classes",
                  max_iter=1),
    _of_estimator("svm.SVC._sparse", "direct/models", "was it trained on sparse rows?"),
    _of_estimator("svm.SVC._probA", "direct/models", "has it probabilities?"),
    _of_estimator("svm.SVC._probB", "direct/models", "the same"),
    _of_sklearn("svm.SVC._dense_predict", "direct/models", "the compiled prediction"),
    _of_sklearn("svm.SVC._dense_predict_proba", "direct/models", "the same of probabilities"),
    _of_estimator("impute.SimpleImputer._fill_dtype", "direct/scaling", "what it fills with"),
    _of_estimator("impute.SimpleImputer._fit_dtype", "columns", "what it was trained on"),
    _of_estimator("compose.ColumnTransformer._transformer_to_input_indices", "columns", "who gets which columns",
                  transformers=[("a", "passthrough", [0])]),
    _of_estimator("compose.ColumnTransformer._transformer_to_input_indices", "origins", "the same",
                  transformers=[("a", "passthrough", [0])]),
    _of_estimator("neighbors.KNeighborsClassifier._fit_X", "columns", "rows of the training data"),
    _of_estimator("preprocessing.OneHotEncoder._n_features_outs", "origins", "how many columns one becomes"),
    _of_sklearn("linear_model._glm.glm._GeneralizedLinearRegressor", "explain", "is told by its name"),
    _of_sklearn("linear_model.PoissonRegressor._linear_predictor", "explain", "the sum before the link function"),
    Borrowed("scikit-learn", "sklearn.preprocessing.StandardScaler._sklearn_output_config",
             (f"{_DIRECT}/build.py",), "does it answer with data frames?",
             lambda: fitted("sklearn.preprocessing.StandardScaler")().set_output(transform="pandas")),
)  # fmt: skip
