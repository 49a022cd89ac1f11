#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""execsnoopctl metrics: its text through a strict parser, against the statistics that it is made of; the file that is replaced at
once; the response to an HTTP request."""
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile

import tap
from tap import CTL

sys.path.append("/usr/lib/python3/dist-packages")  # where python3 is not the distribution's
try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
    from prometheus_client.parser import text_string_to_metric_families as parse_text
except ImportError:
    print("1..0 # SKIP no python3-prometheus-client")
    sys.exit(0)

HERE = os.path.dirname(os.path.abspath(__file__))
STATS = os.path.join(HERE, "stats.json")
TESTS = []


def test(function):
    TESTS.append((function.__name__, function))
    return function


def equal(one, other):
    assert one == other, f"{one!r} is not {other!r}"


def metrics(*arguments, status=0):
    done = subprocess.run([CTL, "metrics", *arguments], stdout=subprocess.PIPE, check=False)
    equal(done.returncode, status)
    return done.stdout.decode()


def samples(families):
    """{(name, labels): value}; no sample comes twice."""
    found = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(found, name, **labels):
    return found[(name, tuple(sorted(labels.items())))]


def check_samples(found):
    with open(STATS, encoding="utf-8") as file:
        stats = json.load(file)
    for kind, count in stats["events"].items():
        equal(value(found, "execsnoopd_events_total", type=kind), count)
    for result, count in stats["machine"]["results"].items():
        equal(value(found, "execsnoop_exits_total", result=result), count)
    for error, count in stats["machine"]["exec_errors"].items():
        equal(value(found, "execsnoop_exec_errors_total", error=error), count)
    for kind, count in stats["lost"].items():
        equal(value(found, "execsnoopd_kernel_lost_total", kind=kind), count)
    below = 0
    for one in stats["machine"]["lifetimes"]:
        below += one["processes"]
        bound = f"{one['up_to_ns'] / 1e9}" if "up_to_ns" in one else "+Inf"
        equal(value(found, "execsnoop_process_lifetime_seconds_bucket", le=bound), below)
    equal(value(found, "execsnoop_process_lifetime_seconds_count"), stats["events"]["exited"])
    equal(round(value(found, "execsnoop_process_lifetime_seconds_sum"), 6), round(stats["machine"]["lifetime_ns"] / 1e9, 6))
    for lifetime, one in zip(("0-0.1", "0.1-1", "1-60", "60-"), stats["machine"]["cpu"]):
        equal(round(value(found, "execsnoop_process_cpu_seconds_total", lifetime=lifetime), 6), round(one["cpu_ns"] / 1e9, 6))
    equal(value(found, "execsnoopd_subscribers"), len(stats["subscribers"]))
    equal(value(found, "execsnoopd_subscriber_queue_max_ratio"),
          max(s["queue"] / s["queue_limit"] for s in stats["subscribers"]))
    equal(value(found, "execsnoopd_subscriber_lost_total"), stats["subscribers_lost"])
    equal(value(found, "execsnoopd_build_info", version=stats["version"]), 1)


@test
def openmetrics_text_is_accepted_by_a_strict_parser():
    text = metrics("-i", STATS)
    assert text.endswith("# EOF\n")
    families = list(parse_openmetrics(text))
    check_samples(samples(families))
    for family in families:
        assert family.documentation.endswith("."), family
        assert family.type in ("counter", "gauge", "histogram", "info"), family


@test
def file_for_node_exporter_is_in_the_older_text_format():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "execsnoopd.prom")
        equal(metrics("-i", STATS, f"--output={path}"), "")
        with open(path, encoding="utf-8") as file:
            text = file.read()
    assert "EOF" not in text
    families = list(parse_text(text))
    check_samples(samples(families))
    # Each family has its type: what has none is "unknown".
    equal({family.type for family in families}, {"counter", "gauge", "histogram"})


@test
def file_is_replaced_at_once():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "execsnoopd.prom")
        with open(path, "w+", encoding="utf-8") as old:
            old.write("the old one\n")
            old.flush()
            metrics("-i", STATS, f"--output={path}")
            old.seek(0)
            equal(old.read(), "the old one\n")
        equal(os.listdir(folder), ["execsnoopd.prom"])
        equal(os.stat(path).st_mode & 0o777, 0o644)
        # What cannot be made leaves the file as it is, and nothing else.
        inode = os.stat(path).st_ino
        metrics(f"--socket={folder}/none", f"--output={path}", status=69)
        equal((os.listdir(folder), os.stat(path).st_ino), (["execsnoopd.prom"], inode))
        metrics("-i", STATS, f"--output={folder}/none/x.prom", status=71)


@test
def label_values_are_escaped():
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"type": "stats", "machine": {"exec_errors": {'a"b\\c\nd': 1}}}, file)
        file.flush()
        found = samples(parse_openmetrics(metrics("-i", file.name)))
    equal(value(found, "execsnoop_exec_errors_total", error='a"b\\c\nd'), 1)


def respond(request, *arguments):
    """The response to a request on a socket, as systemd would pass it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen([CTL, "metrics", "--http", *(arguments or ("-i", STATS))], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
        theirs.close()
        ours.sendall(request)
        response = http.client.HTTPResponse(ours, method="HEAD" if request.startswith(b"HEAD") else "GET")
        response.begin()
        body = response.read()
        equal(process.wait(), 0)
    return response, body


@test
def http_request_is_answered():
    response, body = respond(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    equal((response.status, response.getheader("Content-Length")), (200, str(len(body))))
    assert response.getheader("Content-Type").startswith("text/plain; version=0.0.4"), response.getheaders()
    check_samples(samples(parse_text(body.decode())))
    response, body = respond(b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\nACCEPT: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n")
    assert response.getheader("Content-Type").startswith("application/openmetrics-text; version=1.0.0"), response.getheaders()
    check_samples(samples(parse_openmetrics(body.decode())))
    response, body = respond(b"HEAD /metrics HTTP/1.0\n\n")
    equal((response.status, body), (200, b""))
    assert int(response.getheader("Content-Length")) > 1000


@test
def http_request_that_is_wrong_is_refused():
    response, _ = respond(b"GET http://localhost/metrics HTTP/1.1\r\n\r\n")
    equal(response.status, 200)
    for request, status in ((b"GET / HTTP/1.1\r\n\r\n", 404), (b"GET /metricsx HTTP/1.1\r\n\r\n", 404), (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
                            (b"GET /metrics\r\n\r\n", 400), (b"\r\n\r\n", 400), (b"\0\xff\r\n\r\n", 400), (b"x" * 8192, 431)):
        response, body = respond(request)
        equal(response.status, status)
        assert b"execsnoop" not in body
    response, _ = respond(b"GET /metrics HTTP/1.1\r\n\r\n", "--socket=/nonexistent")
    equal(response.status, 503)


@test
def connection_without_a_request_ends_quietly():
    done = subprocess.run([CTL, "metrics", "--http", "-i", STATS], input=b"GET /metrics HT", stdout=subprocess.PIPE, check=False)
    equal((done.returncode, done.stdout), (0, b""))


if __name__ == "__main__":
    tap.main(TESTS)
