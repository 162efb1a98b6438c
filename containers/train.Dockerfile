# Every command of tag2mask on the CPU, without GPU libraries. From the root of the repository:
#   podman build -f containers/train.Dockerfile -t tag2mask-train .
#   podman run --rm --shm-size=2g --userns=keep-id -v .:/data tag2mask-train \
#     train photos --tags tags.csv --out runs/mine --weights package
# With Docker, --user "$(id -u):$(id -g)" stands for --userns=keep-id: results belong to you.
FROM python:3.11-slim-bookworm AS build

RUN python -m venv /opt/venv
COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
# PyTorch's own index has builds without CUDA.
RUN /opt/venv/bin/pip install --no-cache-dir "/src[train,weights,onnx,hub]" \
    --extra-index-url https://download.pytorch.org/whl/cpu

FROM python:3.11-slim-bookworm

ENV PATH=/opt/venv/bin:$PATH \
    HOME=/home/tag2mask \
    NUMBA_CACHE_DIR=/home/tag2mask/numba
RUN useradd --create-home --uid 10001 tag2mask && install --directory --owner=10001 /data
COPY --from=build /opt/venv /opt/venv

USER 10001
# Compiles the dense CRF when the image is built, not at the first mask; any other user may write there too.
RUN python -c "import numpy as np; from tag2mask import dense_crf; dense_crf(np.zeros((64, 64, 3), np.uint8), np.full((2, 64, 64), 0.5, np.float32))" \
    && chmod -R a+rwX /home/tag2mask

WORKDIR /data
ENTRYPOINT ["tag2mask"]
CMD ["--help"]
