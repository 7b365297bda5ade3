# The gate as a container image: docker run --rm -e THREADFIX_URL -e THREADFIX_API_KEY ... IMAGE
# The base image, in a line that Dependabot reads (it reads no ARG). A release requires its digest here:
# FROM python:3.13-slim@sha256:... AS base. Dependabot then updates it. `make image BASE=...` uses another base image:
# any image with Python 3.10 or later (with venv) and root certificates.
FROM python:3.13-slim AS base

FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# Two environments: the build tools stay in this stage.
RUN ["python3", "-m", "venv", "tools"]
RUN ["python3", "-m", "venv", "--without-pip", "/opt/threadfix-gate"]
# Dependencies before the sources: they change less often, so their layer is cached.
COPY requirements requirements
RUN ["tools/bin/pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:", \
     "--requirement", "requirements/build.lock"]
RUN ["tools/bin/pip", "--python", "/opt/threadfix-gate/bin/python", "install", "--no-compile", "--no-deps", \
     "--require-hashes", "--only-binary", ":all:", "--requirement", "requirements/gate.lock"]
# Rich needs these three only to show source code and Markdown, which the gate never does; actions-toolkit adds `tests`.
RUN tools/bin/pip --python /opt/threadfix-gate/bin/python uninstall --yes pygments markdown-it-py mdurl && \
    rm -r /opt/threadfix-gate/lib/python3*/site-packages/tests
COPY . .
RUN ["tools/bin/pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", "."]
RUN ["tools/bin/pip", "--python", "/opt/threadfix-gate/bin/python", "install", "--no-compile", "--no-deps", \
     "--no-index", "--find-links", "dist", "threadfix-gate"]
# The gate cannot write to the image, so Python could never write its byte code. The hash is unchecked, because copying
# between stages may change the files' times.
RUN ["/opt/threadfix-gate/bin/python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", \
     "/opt/threadfix-gate/lib"]

FROM base
ARG VERSION=""
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="threadfix-gate" \
      org.opencontainers.image.description="Uploads a scan to ThreadFix, waits until it is processed, and reports pass, fail or unknown." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build /opt/threadfix-gate /opt/threadfix-gate
# Without a buffer, a CI system shows each line of the log immediately.
ENV PATH=/opt/threadfix-gate/bin:${PATH} PYTHONUNBUFFERED=1
# A number, so that Kubernetes can check that it is not root; it needs no entry in /etc/passwd and no home.
USER 65532:65532
WORKDIR /workspace
ENTRYPOINT ["threadfix-gate"]
CMD ["run"]
