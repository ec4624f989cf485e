"""What operators see of two web processes and a worker: logs, metrics and traces, real ones."""

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests import fake_groq
from tests.fake_groq import FakeGroq
from tests.launch.test_launch import free_port, served
from tests.launch.test_survival import web_processes
from tests.waiting import wait_for

TOKEN = "only-for-prometheus"
SECRET = "quetzalcoatlus"
MODEL = "openai/gpt-oss-120b"


class Collector:
    """Takes traces by OTLP over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []

    def spans(self, trace_id: str) -> dict[str, Any]:
        """Those of a trace that have come so far, by name."""
        found: dict[str, Any] = {}
        for body in list(self.bodies):
            request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    found |= {s.name: s for s in scope.spans if s.trace_id.hex() == trace_id}
        return found


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                collector.bodies.append(body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    Thread(target=server.serve_forever, daemon=True).start()
    yield collector
    server.shutdown()
    server.server_close()


class Product:
    """The product, and what is seen of it."""

    def __init__(self, data_dir: Path, ports: tuple[int, int], launcher: Any, groq: FakeGroq):
        self.data_dir, self.launcher, self.groq = data_dir, launcher, groq
        self.output = data_dir / "output"
        self.root, self.worker = (f"http://127.0.0.1:{port}" for port in ports)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """On a connection of its own, so that either process may get it."""
        return httpx.request(method, f"{self.root}/api/v1{path}", timeout=30, **options)

    def ask(self, text: str = "Hello", trace: str = "", **fields: Any) -> httpx.Response:
        body = {"user_id": str(uuid4()), "first_message": text, "title": "T", **fields}
        headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"} if trace else {}
        return self.call("POST", "/conversations", json=body, headers=headers)

    def upload(self, user: str, text: str, **headers: str) -> str:
        file = {"file": ("a.txt", text.encode())}
        kept = self.call("POST", "/documents", files=file, data={"user_id": user}, headers=headers)
        identity: str = kept.raise_for_status().json()["id"]
        wait_for(lambda: self.call("GET", f"/documents/{identity}").json()["status"] == "ready")
        return identity

    def metrics(self, address: str = "") -> dict[tuple[str, ...], float]:
        """Each sample by its name and the values of its labels, in the order of their names."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = httpx.get(f"{address or self.root}/metrics", headers=headers, timeout=30)
        families = text_string_to_metric_families(response.raise_for_status().text)
        return {
            (sample.name, *dict(sorted(sample.labels.items())).values()): sample.value
            for family in families
            for sample in family.samples
        }

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.read_text().splitlines()]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Product]:
    data_dir, ports = tmp_path_factory.mktemp("observing"), (free_port(), free_port())
    with FakeGroq() as groq:
        variables: dict[str, object] = {
            "GROQ_API_KEY": "gsk_test",
            "GROQ_BASE_URL": groq.url,
            "GROQ_MAX_RETRIES": 1,
            "GROQ_FAILURES": 0,
            "WEB_WORKERS": 2,
            "LOG_FORMAT": "json",
            "METRICS_TOKEN": TOKEN,
            "METRICS_PORT": ports[1],
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": 100,
        }
        with served(data_dir, ports[0], **variables) as (launcher, _):
            yield Product(data_dir, ports, launcher, groq)


def grown(product: Product, before: dict[tuple[str, ...], float], *key: str) -> float:
    return product.metrics().get(key, 0) - before.get(key, 0)


def test_metrics_are_for_who_knows_the_token(product: Product) -> None:
    wait_for(lambda: any(key[0] == "botgpt_workers" for key in product.metrics()))
    for address in (product.root, wait_for_worker(product)):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert httpx.get(f"{address}/metrics", headers=headers).status_code == 401


def wait_for_worker(product: Product) -> str:
    """The address of the worker's own metrics, once it has begun."""

    def answers() -> bool:
        try:
            return httpx.get(f"{product.worker}/nowhere").status_code == 404
        except httpx.TransportError:
            return False

    wait_for(answers)
    return product.worker


def test_whichever_process_is_asked_tells_what_all_have_done(product: Product) -> None:
    before = product.metrics()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: product.ask(), range(16)))
    assert {one.status_code for one in answers} == {201}
    product.upload(str(uuid4()), "The okapi eats leaves. " * 400)

    routes = ("/api/v1/conversations", "/api/v1/documents")
    for _ in range(6):
        now = product.metrics()

        def more(*key: str, now: dict[tuple[str, ...], float] = now) -> float:
            return now.get(key, 0) - before.get(key, 0)

        assert more("botgpt_http_requests_total", "POST", routes[0], "201") == 16
        assert more("botgpt_http_requests_total", "POST", routes[1], "201") == 1
        assert more("botgpt_time_to_first_token_seconds_count", MODEL) == 16
        assert more("botgpt_answer_seconds_count", MODEL, "completed") == 16
        assert more("botgpt_tokens_total", "prompt", MODEL, "answer") == 1600
        assert more("botgpt_tokens_total", "cached", MODEL, "answer") == 16 * 64
        assert more("botgpt_tokens_total", "completion", MODEL, "answer") == 320
        assert more("botgpt_cost_usd_total", MODEL, "answer") > 0
        assert more("botgpt_documents_read_total", "txt", "ready") == 1
        assert more("botgpt_chunks_written_total", "txt") > 5
        assert now["botgpt_workers",] == 1
    assert product.metrics(wait_for_worker(product))["botgpt_documents_read_total", "txt", "ready"]


def test_errors_and_retries_of_the_model_are_counted(product: Product) -> None:
    before = product.metrics()
    product.groq.script(fake_groq.error(503), fake_groq.error(503))

    assert product.ask().status_code == 503

    assert grown(product, before, "botgpt_upstream_errors_total", "model_overloaded", MODEL) == 1
    assert grown(product, before, "botgpt_upstream_retries_total", MODEL) == 1
    assert grown(product, before, "botgpt_answer_seconds_count", MODEL, "failed") == 1


def test_addresses_are_counted_by_their_patterns(product: Product) -> None:
    for _ in range(3):
        product.call("GET", f"/documents/{uuid4()}")
        product.call("GET", f"/nowhere/{uuid4()}")
        product.call("BREW", "/documents")

    keys = [key for key in product.metrics() if key[0] == "botgpt_http_requests_total"]
    assert ("botgpt_http_requests_total", "GET", "/api/v1/documents/<uuid:pk>", "404") in keys
    assert ("botgpt_http_requests_total", "GET", "unmatched", "404") in keys
    assert {key[1] for key in keys} <= {"GET", "POST", "other"}
    assert len(keys) < 20


def test_streams_of_a_process_that_is_killed_are_open_no_more(product: Product) -> None:
    body = {"user_id": str(uuid4()), "first_message": "Talk", "title": "T", "stream": True}
    counted = ("botgpt_http_requests_total", "POST", "/api/v1/conversations", "201")
    key = ("botgpt_streams_open", "here")
    assert product.ask().status_code == 201
    product.groq.script(fake_groq.stall(60))

    with httpx.stream("POST", f"{product.root}/api/v1/conversations", json=body) as response:
        lines = response.iter_lines()  # closes the stream when it goes
        assert next(lines).startswith("id: ")
        assert product.metrics()[key] == 1
        doomed = web_processes(product.launcher)
        for one in doomed:
            os.kill(one.pid, signal.SIGKILL)
        wait_for(lambda: all(not one.is_running() for one in doomed))
        wait_for(lambda: answers_again(product))

    assert product.metrics().get(key, 0) == 0
    assert product.metrics()[counted] >= 1


@contextmanager
def hanging_database(product: Product) -> Iterator[None]:
    """The database keeps its connections, and answers nothing."""
    file = product.data_dir / "postgres" / "postmaster.pid"
    server = psutil.Process(int(file.read_text().split()[0]))
    processes = [server, *server.children()]
    for one in processes:
        one.suspend()
    try:
        yield
    finally:
        for one in processes:
            one.resume()


def test_a_database_that_hangs_holds_up_neither_health_nor_metrics(product: Product) -> None:
    product.upload(str(uuid4()), "The storage has its folder from now on.")

    with hanging_database(product):
        started = time.monotonic()
        live = httpx.get(f"{product.root}/health/live", timeout=10)
        with ThreadPoolExecutor(3) as threads:
            parts = threads.map(
                lambda path: httpx.get(f"{product.root}{path}", timeout=10), ("/health/ready",) * 2
            )
            metrics = product.metrics()
        ready = list(parts)
        took = time.monotonic() - started

    assert live.status_code == 200
    assert {one.status_code for one in ready} == {503}
    assert "did not answer" in ready[0].json()["checks"]["database"]
    assert ready[0].json()["checks"]["storage"] == "ok"
    assert not [key for key in metrics if key[0] == "botgpt_queue_jobs"]
    assert took < 9
    wait_for(lambda: httpx.get(f"{product.root}/health/ready", timeout=10).is_success)


def answers_again(product: Product) -> bool:
    try:
        return httpx.get(f"{product.root}/health/live").is_success
    except httpx.TransportError:
        return False


def test_the_log_of_every_process_is_json_and_follows_a_request(product: Product) -> None:
    user, text = str(uuid4()), f"The {SECRET} flies. " * 100
    product.upload(user, text, **{"X-Request-ID": "shop-20"})
    product.ask(f"What does a {SECRET} eat?", user_id=user)

    lines = product.lines()
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    theirs = [one["message"] for one in lines if one.get("request_id") == "shop-20"]
    assert theirs == ["request", "document ready"]
    assert {"botgpt.launch", "botgpt.request", "documents.ingestion"} <= {
        line["logger"] for line in lines
    }
    assert SECRET not in product.output.read_text()
    assert "login" not in lines[0], "the administrator's password is no line of a log"


def test_a_turn_is_a_trace_without_a_word_of_it(product: Product, collector: Collector) -> None:
    trace, user = "4bf92f3577b34da6a3ce929d0e0e4736", str(uuid4())
    traced = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    product.upload(user, f"The {SECRET} flies high above the sea. " * 50, **traced)

    asked = {"user_id": user, "mode": "grounded_rag"}
    answer = product.ask(f"How high does a {SECRET} fly?", trace, **asked)
    assert answer.status_code == 201

    request = "POST /api/v1/conversations"
    names = {request, "POST /api/v1/documents", "ingest", "read", "store"}
    names |= {"retrieve", "fit", "ask", "save"}
    spans = wait_for(lambda: (found := collector.spans(trace)).keys() >= names and found)
    assert spans[request].parent_span_id.hex() == "00f067aa0ba902b7"
    for name in ("retrieve", "fit", "ask", "save"):
        assert spans[name].parent_span_id == spans[request].span_id
    assert spans["ingest"].parent_span_id == spans["POST /api/v1/documents"].span_id
    assert [event.name for event in spans["ask"].events] == ["first_token"]
    ends = [spans[name].end_time_unix_nano for name in ("retrieve", "fit", "ask", "save")]
    assert ends == sorted(ends)
    assert SECRET.encode() not in b"".join(collector.bodies)


def test_an_answer_that_fails_says_so_in_its_trace(product: Product, collector: Collector) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    product.groq.script(fake_groq.error(400, code=SECRET))

    product.ask(f"How high does a {SECRET} fly?", trace)

    spans = wait_for(lambda: (found := collector.spans(trace)).get("ask") and found)
    assert spans["ask"].status.code == 2
    assert not [event for event in spans["ask"].events if event.name == "exception"]
    assert SECRET.encode() not in b"".join(collector.bodies)
