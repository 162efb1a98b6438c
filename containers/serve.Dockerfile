# Serves a network that `tag2mask export-model` wrote, on the CPU, without torch. From the root of the repository:
#   podman build -f containers/serve.Dockerfile -t tag2mask-serve .
#   podman run --rm -p 127.0.0.1:8000:8000 -v ./model.onnx:/model.onnx:ro tag2mask-serve
FROM python:3.11-slim-bookworm AS build

RUN python -m venv /opt/venv
COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
RUN /opt/venv/bin/pip install --no-cache-dir "/src[onnx,serve]"

FROM python:3.11-slim-bookworm

ENV PATH=/opt/venv/bin:$PATH \
    HOME=/home/tag2mask \
    NUMBA_CACHE_DIR=/home/tag2mask/numba
RUN useradd --create-home --uid 10001 tag2mask
COPY --from=build /opt/venv /opt/venv

USER 10001
# Compiles the dense CRF when the image is built, not at the first request; any other user may write there too.
RUN python -c "import numpy as np; from tag2mask import dense_crf; dense_crf(np.zeros((64, 64, 3), np.uint8), np.full((2, 64, 64), 0.5, np.float32))" \
    && chmod -R a+rwX /home/tag2mask

EXPOSE 8000
HEALTHCHECK --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=3)"]
# Every address of the container; `-p 127.0.0.1:...` above decides who reaches it. Requests name localhost or an address in
# figures; behind a proxy give the whole command, with `--allowed-host` and the proxy's name.
CMD ["tag2mask", "serve", "/model.onnx", "--host", "0.0.0.0", "--port", "8000", "--allowed-host", "localhost"]
