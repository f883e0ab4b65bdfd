# A reader on a CPU: the runtime alone, no PyTorch. docs/containers.md tells how it is used.
#   docker build --file docker/cpu.Dockerfile --tag crnn .
#   docker run --rm --volume "$PWD:/data:ro" crnn digits lines/
FROM debian:bookworm-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# pip and setuptools have done their work then: what reads lines never installs anything.
RUN python3 -m venv /opt/crnn \
    && /opt/crnn/bin/pip install --no-cache-dir --constraint constraints.txt ".[cpu]" \
    && /opt/crnn/bin/pip uninstall --yes setuptools pip

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin crnn
COPY --from=build /opt/crnn /opt/crnn
ENV PATH=/opt/crnn/bin:$PATH
USER 10001
WORKDIR /data
ENTRYPOINT ["crnn-infer"]
CMD ["--help"]
