# A reader on an NVIDIA GPU: ONNX Runtime with CUDA, or TensorRT; no PyTorch.
# docs/containers.md tells how it is used.
#   docker build --file docker/gpu.Dockerfile --tag crnn-gpu .
#   docker run --rm --gpus all --volume "$PWD:/data:ro" crnn-gpu digits --device cuda lines/
# CUDA and cuDNN come with the Python packages, the driver from the host by the NVIDIA
# Container Toolkit: no base image of CUDA is needed.
#
# TensorRT: --build-arg EXTRA=tensorrt (data-centre cards, Jetson) or EXTRA=rtx (GeForce and
# RTX cards) makes an image that reads engines, x.trt beside x.trt.json. An engine loads only
# in the release of TensorRT that built it: build both with the same constraints.txt.
FROM debian:bookworm-slim AS build
ARG EXTRA=gpu
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# pip and setuptools have done their work then: what reads lines never installs anything.
RUN python3 -m venv /opt/crnn \
    && /opt/crnn/bin/pip install --no-cache-dir --constraint constraints.txt ".[${EXTRA}]" \
    && /opt/crnn/bin/pip uninstall --yes setuptools pip

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin crnn
COPY --from=build /opt/crnn /opt/crnn
ENV PATH=/opt/crnn/bin:$PATH \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
WORKDIR /data
ENTRYPOINT ["crnn-infer"]
CMD ["--help"]
