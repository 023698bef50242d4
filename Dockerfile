# One image for every service, and for `carillon migrate` and `carillon admin`: which of them a container is
# says its command.
#
# 3.13 rather than the oldest that is supported (3.11): it gets security fixes until October 2029, and every
# dependency has a wheel for it. The tests run on all of them.
ARG PYTHON_IMAGE=python:3.13-slim

# ---------------------------------------------------------------- build
FROM ${PYTHON_IMAGE} AS build

ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1

COPY tools/uv.lock /build/tools/uv.lock
RUN python -m venv /build/tools/venv \
    && /build/tools/venv/bin/python -m pip install --quiet --no-cache-dir --require-hashes --no-deps \
        -r /build/tools/uv.lock \
    && python -m venv --without-pip /opt/venv

# Versions and hashes from the lock, but only what the services need: neither the tools of developers nor the
# servers behind `carillon up`. They come before the sources, so that a change there does not fetch them anew.
WORKDIR /app
COPY pyproject.toml requirements.lock /app/
RUN /build/tools/venv/bin/uv pip install --quiet --python /opt/venv/bin/python \
        --require-hashes --constraint requirements.lock --requirement pyproject.toml

COPY README.md LICENSE /app/
COPY shared /app/shared
COPY carillon /app/carillon
COPY gateway_service /app/gateway_service
COPY user_service /app/user_service
COPY template_service /app/template_service
COPY email_service /app/email_service
COPY push_service /app/push_service
RUN /build/tools/venv/bin/uv pip install --quiet --python /opt/venv/bin/python --no-deps \
        --build-constraint requirements.lock --editable . \
    && python -m compileall -q /app \
    && rm -f requirements.lock

# ---------------------------------------------------------------- runtime
FROM ${PYTHON_IMAGE}

LABEL org.opencontainers.image.title="Carillon" \
      org.opencontainers.image.description="Self-hosted notifications: accepted is never lost and never silently sent twice." \
      org.opencontainers.image.licenses="Apache-2.0"

RUN groupadd --gid 10001 carillon \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin carillon

COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app

# Nothing is written at run time: the root file system may be read-only.
ENV PATH="/opt/venv/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app
USER 10001:10001
EXPOSE 8000 8001 8002 8003 8004
STOPSIGNAL SIGTERM
CMD ["python", "-m", "gateway_service"]
