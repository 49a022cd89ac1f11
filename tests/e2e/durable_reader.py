# SPDX-License-Identifier: GPL-2.0-or-later
"""A reader of a durable subscription: appends what it gets to a file, and acknowledges what is in it. It may be killed at
any moment. PATH NAME FILE; a line on standard output for each connection that has its subscription."""
import json
import os
import random
import re
import socket
import sys
import time

path, name, store = sys.argv[1:]
# Of an event, or of a loss that has no number of its own.
NUMBER = re.compile(rb'^\{"type":"(?!subscribed|live|mark)[a-z]+",(?:"seq":|.*"last_seq":)(\d+)')


def number_of(lines):
    """Of the last event in them; None: they have none."""
    for line in reversed(lines):
        found = NUMBER.match(line)
        if found:
            return int(found[1])
    return None


def run(connection, out, last):
    """Says what it has stored, or leaves that to the daemon."""
    connection.sendall(json.dumps({"name": name, "ack": random.choice((0, last)), "snapshot": True, "fields": ["seq", "snapshot", "id", "args"]}).encode() + b"\n")
    rest, begun, writes = b"", False, 0
    while True:
        data = connection.recv(1 << 18)
        if not data:
            return last
        *lines, rest = (rest + data).split(b"\n")
        if not begun:
            at = next((i for i, line in enumerate(lines) if line.startswith(b'{"type":"subscribed"')), None)
            if at is None:
                continue  # not of this subscription
            lines = lines[at:]
        if not lines:
            continue
        os.write(out, b"\n".join(lines) + b"\n")
        if not begun:
            # It may be killed at once, and the reply is counted.
            begun = True
            print("subscribed", flush=True)
        last = number_of(lines) or last
        writes += 1
        # Not each: so that there is something to come again.
        if writes % 4 == 0:
            connection.sendall(b'{"ack":%d}\n' % last)


out = os.open(store, os.O_RDWR | os.O_CREAT | os.O_APPEND)
tail = os.pread(out, 1 << 20, max(0, os.fstat(out).st_size - (1 << 20)))
if not tail.endswith(b"\n"):
    os.ftruncate(out, os.fstat(out).st_size - (len(tail) - tail.rfind(b"\n") - 1))
    tail = tail[:tail.rfind(b"\n") + 1]
last = number_of(tail.split(b"\n")[:-1]) or 0
while True:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            last = run(connection, out, last)
    except (ConnectionError, FileNotFoundError):
        pass
    time.sleep(0.01)
