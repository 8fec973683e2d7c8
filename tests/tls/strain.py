# SPDX-License-Identifier: MIT
"""Clients of OpenSSL's make, good and bad, against a server of ours: strain.py HOST PORT CACERT TIMEOUT (the server's --timeout)."""
import concurrent.futures
import os
import random
import socket
import ssl
import struct
import sys
import time

host, port, cacert, patience = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
passed = failed = 0
REQUEST = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def ok(name, condition, seen=""):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print("tls: FAILED:", name, seen)


def context():
    c = ssl.create_default_context(cafile=cacert)
    c.maximum_version = ssl.TLSVersion.TLSv1_2
    return c


def raw():
    s = socket.create_connection((host, port), timeout=20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def dial(c=None, session=None):
    return (c or context()).wrap_socket(raw(), server_hostname=host, session=session)


def ask(s):
    s.sendall(REQUEST)
    got = b""
    while b"\r\n\r\n" not in got or not got.endswith(b"}"):
        piece = s.recv(65536)
        if not piece:
            return False
        got += piece
    return got.startswith(b"HTTP/1.1 200 ")


def bytewise(c, send):
    """A handshake and a request whose bytes each are sent by send(); None where the server ended."""
    s, into, out = raw(), ssl.MemoryBIO(), ssl.MemoryBIO()
    t = c.wrap_bio(into, out, server_hostname=host)

    def move():
        send(s, out.read())
        try:
            piece = s.recv(65536)
        except OSError:
            piece = b""
        into.write(piece)
        return piece

    try:
        while True:
            try:
                t.do_handshake()
                break
            except ssl.SSLWantReadError:
                if not move():
                    return None
        t.write(REQUEST)
        while True:
            try:
                return t.read(4096)
            except ssl.SSLWantReadError:
                if not move():
                    return None
    finally:
        s.close()


def by_ones(s, data):
    for i in range(len(data)):
        s.sendall(data[i:i + 1])


# One byte at a time.
answer = bytewise(context(), by_ones)
ok("a byte at a time", answer and answer.startswith(b"HTTP/1.1 200 "), answer)

# Sessions are resumed, and what was sent before the first is not needed for it.
c = context()
first = dial(c)
ok("a request", ask(first))
second = dial(c, first.session)
ok("a resumed session", second.session_reused and ask(second))
first.close()

# Those who stall: nothing, half a hello, a hello and no more.  Meanwhile others are served, and in the end the stalled are gone.
kept = dial()
hello_in, hello_out = ssl.MemoryBIO(), ssl.MemoryBIO()
t = context().wrap_bio(hello_in, hello_out, server_hostname=host)
try:
    t.do_handshake()
except ssl.SSLWantReadError:
    pass
hello = hello_out.read()
stalled = []
for i in range(60):
    s = raw()
    s.sendall(hello[:[0, 1, 5, len(hello) // 2, len(hello)][i % 5]])
    stalled.append(s)
start, worst = time.monotonic(), 0
while time.monotonic() - start < patience / 2:
    one = time.monotonic()
    ok("others are served", ask(kept))
    worst = max(worst, time.monotonic() - one)
    time.sleep(0.05)
ok("soon", worst < 2, "%.3f s" % worst)
ok("a new one too", ask(dial()))
closed = 0
for s in stalled:
    s.settimeout(max(0.1, start + patience + 10 - time.monotonic()))
    try:
        while s.recv(65536):
            pass
        closed += 1
    except ConnectionError:
        closed += 1
    except OSError:
        pass
took = time.monotonic() - start
ok("the stalled are dropped in time", closed == 60 and took >= patience - 1, "%d in %.1f s" % (closed, took))

# Garbage, plain HTTP, hellos that are cut or damaged.
rng = random.Random(1)
for i in range(200):
    kind, s = i % 4, raw()
    try:
        if kind == 0:
            s.sendall(rng.randbytes(rng.randint(1, 3000)))
        elif kind == 1:
            s.sendall(b"\x16\x03\x01" + rng.randbytes(600))
        elif kind == 2:
            s.sendall(hello[:rng.randint(1, len(hello))])
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            bad = bytearray(hello)
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
            s.sendall(bad)
        if i % 3:
            s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    s.close()
ok("after garbage", ask(kept) and ask(dial()))
s = raw()
s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
got = b""
while piece := s.recv(65536):
    got += piece
ok("plain HTTP is told", got.startswith(b"HTTP/1.1 400 ") and b"https://" in got, got)

# Handshakes cut after each flight by a reset, then a hundred at once.
for n in range(1, 500, 25):
    left = [n]

    def cut(s, data):
        s.sendall(data[:left[0]])
        left[0] -= min(left[0], len(data))
        if not left[0]:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.shutdown(socket.SHUT_WR)

    bytewise(context(), cut)
ok("after cut handshakes", ask(kept))
c = context()
start = time.monotonic()
with concurrent.futures.ThreadPoolExecutor(25) as pool:
    many = list(pool.map(lambda _: dial(c), range(100)))
    good = sum(pool.map(ask, many))
took = time.monotonic() - start
ok("a hundred connections", good == 100, good)
ok("all still good", sum(map(ask, many)) == 100)
for v in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_3):
    c = context()
    c.set_ciphers("ALL:@SECLEVEL=0")
    try:
        c.minimum_version = v
        c.maximum_version = v
        dial(c)
        ok("no other version than TLS 1.2", False, v)
    except (OSError, ValueError):
        ok("no other version than TLS 1.2", True)
print("a request beside 60 stalled handshakes: %.0f ms at most; 100 connections and requests: %.2f s" % (worst * 1000, took))
print("strain: %d passed, %d failed" % (passed, failed))
sys.exit(failed > 0)
