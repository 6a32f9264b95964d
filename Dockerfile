# foreshock in a container: nothing but Python, the locked packages and the program; no shell is needed to run it.
# Not built yet by anybody: no Docker engine was at hand when it was written.
# Pin PYTHON_IMAGE to a digest where you build: --build-arg PYTHON_IMAGE=python:3.11-slim@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY tools/uv.lock tools/uv.lock
RUN python -m pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes --requirement tools/uv.lock
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN uv venv --python "$(command -v python)" /opt/foreshock
COPY requirements.lock requirements-dev.lock ./
RUN uv pip sync --python /opt/foreshock/bin/python --require-hashes requirements.lock
COPY . .
# the build backend is locked with the development packages; it stays in this stage
RUN uv venv --python "$(command -v python)" /opt/build \
 && uv pip sync --python /opt/build/bin/python --require-hashes requirements-dev.lock \
 && /opt/build/bin/python -m hatchling build --target wheel --directory /dist \
 && uv pip install --python /opt/foreshock/bin/python --no-deps /dist/foreshock-*.whl

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 foreshock \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/foreshock --create-home --shell /usr/sbin/nologin foreshock
COPY --from=build /opt/foreshock /opt/foreshock
# machine code is compiled on the machine it runs on, once, and kept beside the state
ENV PATH=/opt/foreshock/bin:$PATH \
    NUMBA_CACHE_DIR=/var/lib/foreshock/kernels \
    FORESHOCK_STATE__DIRECTORY=/var/lib/foreshock/state \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/foreshock
VOLUME /var/lib/foreshock
STOPSIGNAL SIGTERM
EXPOSE 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=180s --retries=3 CMD ["foreshock", "health", "--live"]
ENTRYPOINT ["foreshock"]
CMD ["run"]
