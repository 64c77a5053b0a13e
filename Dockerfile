# PolyServe: one container that serves a directory of models.
#
#   docker build -t polyserve .
#   docker build -t polyserve --build-arg FRAMEWORKS=sklearn,xgboost .
#   docker run -p 8080:8080 -p 8081:8081 -v "$PWD/models:/mnt/models:ro" polyserve
#
# It runs as user 1000, or any other, and writes nothing but /tmp: --read-only --tmpfs /tmp --cap-drop ALL are fine. A
# volume on /var/cache/polyserve keeps what it fetched (--model) and the environments of models with requirements of
# their own. Without --build-arg GPU=true nothing of CUDA is in it.

# Another Python: 3.12 or 3.13. Another base, or this one by its digest: BASE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON=3.11
ARG BASE=python:${PYTHON}-slim-bookworm

FROM ${BASE} AS dependencies
# Extras of pyproject.toml: all, or some of sklearn,xgboost,lightgbm,onnx,spacy,huggingface,tensorflow,torch,catboost,
# skops,sentence-transformers,mlflow, and beside these signing (--verify_key), storage (--model NAME=s3://...), tracing.
ARG FRAMEWORKS=all
# true: torch and XGBoost with CUDA. Otherwise their CPU builds; torch's come from its own index, or a mirror of it.
ARG GPU=false
ARG PIP_EXTRA_INDEX_URL
# The base image's pip installs into /venv, which so needs none of its own.
ENV PIP_PYTHON=/venv/bin/python \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv --without-pip /venv

# Exact versions, each file held against its hash (deploy/image/requirements.txt).
WORKDIR /src
COPY deploy/image ./
RUN python install.py "$FRAMEWORKS" "$GPU"

# The bill of materials, with the licences, is made by a tool that leaves nothing else here.
RUN python -m venv --without-pip /bom \
    && PIP_PYTHON=/bom/bin/python python install.py bom \
    && mkdir -p /venv/share/polyserve \
    && /bom/bin/cyclonedx-py environment /venv/bin/python --gather-license-texts --output-reproducible \
        --output-file /venv/share/polyserve/bom.json \
    && rm -rf /bom

# What no model server needs: the asynchronous half of the Kubernetes client, TensorFlow's and torch's headers, C++ tests,
# and the packages' own tests (but numpy's, which numpy.testing imports).
RUN site=$(echo /venv/lib/python*/site-packages) \
    && rm -rf "$site"/kubernetes/aio "$site"/tensorflow/include "$site"/torch/include "$site"/torch/test \
        "$site"/torch/bin/test_* "$site"/torch/bin/*Test "$site"/torch/bin/protoc* \
    && find "$site" -type d -name tests -not -path "$site/numpy/*" -prune -exec rm -rf {} +


FROM dependencies AS package
RUN python -m venv --without-pip /build && PIP_PYTHON=/build/bin/python python install.py build
COPY pyproject.toml setup.py LICENSE ./
COPY polyserve_runtime polyserve_runtime
COPY adapters adapters
COPY server server
RUN touch README.md \
    && PIP_PYTHON=/build/bin/python pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && pip install --no-deps --no-index --prefix /package /wheels/*.whl \
    && install -D --mode 0644 health.py /package/share/polyserve/health.py


FROM ${BASE}
ARG BASE
LABEL org.opencontainers.image.title="PolyServe" \
      org.opencontainers.image.description="Serves a directory of models, whatever made them: KServe V1, V2 (REST and gRPC)" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}"
# LightGBM uses the system's OpenMP; the other frameworks bring their own. ONNX graphs of texts name the locale en_US.UTF-8.
# Debian keeps one version per release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 locales \
    && localedef --inputfile=en_US --charmap=UTF-8 en_US.UTF-8 \
    && rm -rf /var/cache/apt/* /var/lib/apt/lists/* \
    && useradd --uid 1000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin polyserve \
    && install --directory --owner 1000 --group 0 --mode 0775 /var/cache/polyserve
COPY --from=dependencies /venv /venv
COPY --from=package /package /venv
# One native thread for each call: several at once are faster that way, and the cores go to whole requests.
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    CACHE_DIRECTORY=/var/cache/polyserve \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    MKL_NUM_THREADS=1
USER 1000:1000
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# Another port is best set by POLYSERVE_HTTP_PORT, which this reads too.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-IS", "/venv/share/polyserve/health.py"]
ENTRYPOINT ["polyserve"]
