# Drumbeat as one image: `worker`, `api`, `migrate` and every other command of `drumbeat`, as an ordinary user.
# Only what a deployment needs is inside: no sandbox, no tests, no tools for building.

FROM python:3.13.14-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /build
RUN python -m venv --without-pip /drumbeat && python -m venv --without-pip /tools
# What changes seldom comes first, so that it is seldom installed anew. Every package is checked by its hash.
COPY deploy/requirements.lock deploy/build.lock deploy/
RUN pip --python /drumbeat/bin/python install --require-hashes --only-binary :all: -r deploy/requirements.lock \
 && pip --python /tools/bin/python install --require-hashes --only-binary :all: -r deploy/build.lock
COPY . .
RUN pip --python /tools/bin/python wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && pip --python /drumbeat/bin/python install --no-deps /wheels/*.whl

FROM python:3.13.14-slim-trixie
RUN groupadd --gid 10001 drumbeat && useradd --uid 10001 --gid drumbeat --no-create-home --home-dir /tmp drumbeat
COPY --from=build /drumbeat /drumbeat
ENV PATH=/drumbeat/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["drumbeat"]
CMD ["--help"]
