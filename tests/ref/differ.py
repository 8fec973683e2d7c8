#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same requests to a server of the reference and to ours, the answers compared field by field.

usage: differ.py REFERENCE_URL OUR_URL [SEED [SEQUENCES [LENGTH]]]

Requests are made at random from SEED, the same every time; ids are compared by what they stand for, times by being one.
What differs on purpose is in DELIBERATE, with the reason; anything else is printed and has failed.
"""
import base64
import http.client
import json
import random
import re
import sys
import urllib.parse

ME = "/api/v1/queues/me"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?\Z")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Side:
    """One of the two servers, with what its ids stand for."""

    def __init__(self, url, name):
        self.name = name
        self.at = urllib.parse.urlsplit(url)
        self.real, self.symbol = {}, {}
        self.conn = None

    def call(self, req):
        method, path, auth, head, body = req
        headers = dict(head)
        if auth is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(self.put(auth).encode()).decode()
        data = None if body is None else self.put(body).encode("utf-8", "surrogatepass")
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        for _ in range(2):
            try:
                if self.conn is None:
                    self.conn = http.client.HTTPConnection(self.at.hostname, self.at.port, timeout=30)
                self.conn.request(method, self.put(path), data, headers)
                r = self.conn.getresponse()
                text = r.read().decode("utf-8", "replace")
                break
            except (http.client.HTTPException, OSError):
                self.conn.close()
                self.conn = None
        if r.status >= 500:
            self.conn.close()
            self.conn = None
        return r.status, {k.lower(): v for k, v in r.getheaders()}, text

    def put(self, text):
        """Symbols to this side's ids."""
        return re.sub(r"<(\w+)>", lambda m: self.real.get(m[1], m[0]), text)

    def bind(self, symbol, real):
        self.real[symbol], self.symbol[real] = real, symbol

    def plain(self, v, user=False):
        """An answer with symbols for ids and one word for times.  In what users store all stays as it is."""
        if isinstance(v, dict):
            return {k: self.plain(x, user or k in ("args", "metadata", "summary")) for k, x in v.items()}
        if isinstance(v, list):
            return [self.plain(x, user) for x in v]
        if isinstance(v, str):
            if not user and TIME.match(v):
                return "(time)"
            return UUID.sub(lambda m: "<%s>" % self.symbol.get(m[0], "unknown"), v)
        return v


def parse(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


class Answer:
    def __init__(self, side, raw):
        self.status, self.head, self.text = raw
        self.raw = parse(self.text) if self.text else ""
        self.body = side.plain(self.raw)

    def detail(self):
        return self.body.get("detail") if isinstance(self.body, dict) else None

    def places(self):
        d = self.detail()
        return sorted(json.dumps(x.get("loc")) for x in d) if isinstance(d, list) else []


# ---- what differs on purpose: name, whether it is that, reason; "breaks" where the states differ from then on ----

def refused(r, o):
    return o.status in (400, 404, 409, 422) and isinstance(o.body, dict) and "detail" in o.body


def secret(q):
    return "password" in (q[4] or "") or q[:2] in (("POST", "/api/v1/queues"), ("PUT", ME))


DELIBERATE = [
    ("500", True, lambda q, r, o: r.status == 500 and (refused(r, o) or o.status in (200, 201)),
     "what ends there in an internal error is refused or done here: keys in conflict, integers beyond 64 bits, filters and durations "
     "that are none, a fraction of a second as eta_max, null for what no task may lack"),
    ("worker name", True, lambda q, r, o: q[1] == ME + "/workers" and r.status == 201 and o.places() == ['["body", "worker_name"]'],
     "a worker's name is checked as all names are: there it breaks every later search"),
    ("refused update", True, lambda q, r, o: q[0] == "PUT" and q[1].startswith(ME + "/tasks") and r.status == o.status == 400,
     "a refused update leaves nothing behind; the reference's embedded store keeps the half of it"),
    ("path through a scalar", True, lambda q, r, o: q[0] in ("PUT", "POST") and r.status == 200 and o.status == 400 and "in conflict" in o.text,
     "a dotted key through what is no dict is refused, as MongoDB does; the embedded store replaces it"),
    ("numbers no double holds", True, lambda q, r, o: o.status == 422 and re.search(r"NaN|Infinity|e999", q[4] or ""),
     "NaN, Infinity and 1e999 are no JSON; there they become null"),
    ("passwords", False, lambda q, r, o: r.status == o.status == 422 and secret(q) and r.places() == o.places(),
     "a body that may hold a password is not repeated"),
    ("another type", False, lambda q, r, o: r.status == o.status == 422 and r.places() == o.places() == ['["body"]'] and "Content-Type" in dict(q[3]),
     "a body that is not said to be JSON is neither read nor repeated"),
    ("keys", False, lambda q, r, o: r.status == o.status == 422 and r.places() == o.places() and "is not valid" in o.text,
     "which key is wrong is said in other words"),
    ("version", False, lambda q, r, o: r.status == o.status == 422 and r.places() == o.places() and "client_version" in o.text,
     "what is wrong with a version is said in other words"),
    ("Allow", False, lambda q, r, o: r.status == o.status == 405 and set(r.head["allow"].split(", ")) <= set(o.head.get("allow", "").split(", ")),
     "Allow names every method of the path"),
    ("HEAD and OPTIONS", False, lambda q, r, o: q[0] in ("HEAD", "OPTIONS") and r.status == 405 and o.status in (200, 204),
     "RFC 9110 wants HEAD of every server"),
    ("its own name", False, lambda q, r, o: q[1] == "/" and r.status == o.status == 200 and sorted(r.body) == sorted(o.body),
     "message and docs name the server"),
    ("documentation", False, lambda q, r, o: q[1] in ("/docs", "/redoc", "/openapi.json") and o.status == 404,
     "no pages for browsers: PROTOCOL"),
    ("polling", False, lambda q, r, o: q[1] == "/api/v1/polling" and sorted(r.body) == sorted(o.body),
     "the clocks of two servers"),
    ("error texts", False, lambda q, r, o: r.status == o.status and r.status in (400, 403, 404, 409) and isinstance(r.detail(), str)
     and isinstance(o.detail(), str) and r.status != 401,
     "the words are the server's own"),
]


def tied(a, b):
    """Two lists of the same entities, the reference's with equal times, which it keeps to the millisecond."""
    x, y = a.body.get("content"), b.body.get("content")
    if not isinstance(x, list) or sorted(map(json.dumps, x)) != sorted(map(json.dumps, y)):
        return False
    times = [t["last_modified"] for t in a.raw["content"]]
    return len(set(times)) < len(times)


def differences(r, o):
    out = []
    if r.status != o.status:
        out.append("status")
    for name in ("content-type", "www-authenticate", "allow"):
        if r.head.get(name) != o.head.get(name):
            out.append(name)
    if json.dumps(r.body) != json.dumps(o.body):
        if not (r.status == o.status == 200 and isinstance(r.body, dict) and isinstance(o.body, dict) and tied(r, o)):
            out.append("body")
    if ("location" in r.head) != ("location" in o.head) or ("location" in r.head and urllib.parse.urlsplit(r.head["location"])[2:4]
                                                             != urllib.parse.urlsplit(o.head["location"])[2:4]):
        out.append("location")
    return out


# ---- requests at random ----

NAMES = ["a", "run_1", "x-y"]
STRANGE = [None, True, False, 0, 1, -1, 7, 5.5, 7.0, 1e2, "", "x", "7", " 7 ", "5.5", "true", "a b", "é", [], [1], ["a"], {}, {"a": 1}, {"a b": 1}, {"$x": 1},
           10 ** 12]
ARGS = [{"lr": 0.1, "n": 1}, {"lr": 0.01, "n": 2}, {"model": {"name": "a", "layers": [1, 2, {"k": 3}]}}, {"model.name": "b"}, {"a": None, "b": True}, {"s": "é\u0000\U0001f600"},
        {"a": {"b": {"c": 1}}, "a.d": 2}, {"n": 3}, {"n": 10 ** 15, "f": 1.0}, {"a.b": 1, "a.c": {"d": []}}]
FIELDS = [["lr", "n"], ["n"], ["model"], ["model.name"], ["a"], ["a.b"], [], None, ["*"], ["*", "n"], ["lr"], ["s"], ["a", "b"], ["a.b", "a.c"], ["a.b", "a.b"], ["bad key"], ["a..b"]]
FILTERS = [{"args.n": 1}, {"args.n": {"$gt": 1}}, {"args.n": {"$gte": 1, "$lt": 3}}, {"task_name": "a"}, {"task_name": {"$in": ["a", "run_1"]}}, {"priority": {"$ne": 10}},
           {"$or": [{"args.n": 2}, {"args.lr": 0.1}]}, {"args.lr": {"$exists": False}}, {"$and": [{"retries": 0}, {"args.n": {"$exists": True}}]}, {"$nor": [{"status": "pending"}]},
           {"args.model.name": {"$regex": "^[ab]"}}, {"args.n": {"$nin": [1, 2]}}, {"args.model.layers": {"$size": 3}}, {"args.model.layers": 1}, {"metadata.k": None},
           {"args.model.layers": {"$elemMatch": {"k": 3}}}, {"created_at": {"$gt": {"_dt": "2020-01-01T00:00:00+00:00"}}}, {"status": {"$not": {"$eq": "pending"}}}]
SORTS = [None, [], [["priority", -1]], [["args.n", 1]], [["task_name", -1], ["priority", 1]], [["created_at", 1]], [["retries", 1], ["created_at", -1]], [["priority"]], [["priority", 2]]]
ETAS = ["1h", "90", "1h30m15s", "2 min, 5 sec", "1e2", "", None]
MOVES = {"pending": ["pending", "running", "cancelled"], "running": ["running", "pending", "success", "failed", "cancelled"], "success": ["success", "pending", "cancelled"],
         "failed": ["failed", "pending", "cancelled"], "cancelled": ["cancelled", "pending"]}


class Sequence:
    def __init__(self, ref, ours, rng, name, report):
        self.ref, self.ours, self.rng, self.report = ref, ours, rng, report
        self.name = name
        self.auth = name + ":pw"
        self.tasks, self.workers = [], []
        self.count = 0
        self.broken = False
        self.send("POST", "/api/v1/queues", {"queue_name": name, "password": "pw"}, auth=None, keep="queue")

    def send(self, method, path, body=None, auth="", head=(), keep=None):
        """One request to both; what was made is kept as KEEP and a number.  Our answer."""
        if body is not None and not isinstance(body, str):
            body = json.dumps(body, ensure_ascii=self.rng.random() < .5)
        req = (method, path, self.auth if auth == "" else auth, tuple(head), body)
        r, o = Answer(self.ref, self.ref.call(req)), Answer(self.ours, self.ours.call(req))
        if keep and r.status == o.status == 201:
            symbol = "%s%s%d" % (self.name.replace("-", "_"), keep, self.count)
            self.count += 1
            for side, a in ((self.ref, r), (self.ours, o)):
                side.bind(symbol, [v for k, v in a.raw.items() if k.endswith("_id")][0])
                a.body = side.plain(a.raw)
            if keep != "queue":
                getattr(self, keep + "s").append(symbol)
        self.broken |= self.report(req, r, o)
        return o

    def pick(self, of):
        """An id of that kind; sometimes none, or one that is not there."""
        if not of or self.rng.random() < .05:
            return self.rng.choice(["00000000-0000-4000-8000-000000000000", "none"])
        return "<%s>" % self.rng.choice(of)

    def strange(self, body):
        """Sometimes one member is not what it should be."""
        if self.rng.random() < .15 and body:
            name, value = self.rng.choice(list(body) + ["client_version", "unknown"]), self.rng.choice(STRANGE)
            if name in ("heartbeat_timeout", "task_timeout", "eta_max") and value not in ([], {}):
                value = [value]   # no deadline that one server sees before the other
            body[name] = value
        return body

    def some(self, **fields):
        return {k: v for k, v in fields.items() if self.rng.random() < .4}

    def submit(self):
        c = self.rng.choice
        body = self.some(task_name=c(NAMES + [None]), metadata=c([{}, {"k": 1}, {"a b": {"c.d": 1}}, {"t.u": 2}, None]), cmd=c(["run", ["run", "it"], "", [], None]),
                         heartbeat_timeout=c([60, 1000.5, None]), task_timeout=c([3600, None]), max_retries=c([0, 1, 2, 3]), priority=c([0, 5, 10, 20, -3]))
        if self.rng.random() < .9:
            body["args"] = c(ARGS)
        self.send("POST", ME + "/tasks", self.strange(body), keep="task")

    def make_worker(self):
        c = self.rng.choice
        body = self.strange(self.some(worker_name=c(NAMES + [None]), metadata=c([{"gpu": 1}, {"a.b": 2}, None]), max_retries=c([1, 2, 3])))
        self.send("POST", ME + "/workers", body, keep="worker")

    def search(self, kind="task"):
        c = self.rng.choice
        own = self.some(**{kind + "_id": self.pick(getattr(self, kind + "s")), kind + "_name": c(NAMES + [""])})
        body = {**own, **self.some(offset=c([0, 1, 3]), limit=c([1, 2, 100, 1000]), sort=c(SORTS))}
        if kind == "task":
            body.update(self.some(status=c(list(MOVES)), extra_filter=c(FILTERS)))
        else:
            body.update(self.some(status=c(["active", "suspended", "crashed"])))
        if body.get("sort") and "created_at" not in str(body["sort"]):
            body["sort"] = body["sort"] + [["created_at", 1]]
        self.send("POST", "%s/%ss/search" % (ME, kind), self.strange(body))

    def fetch(self):
        c = self.rng.choice
        body = self.some(worker_id=self.pick(self.workers), eta_max=c(ETAS), heartbeat_timeout=c([30, 0, 2000.5, None]), required_fields=c(FIELDS), extra_filter=c(FILTERS),
                         cmd=c(["x", ["x", "y"], None]), start_heartbeat=c([True, True, False]))
        self.send("POST", ME + "/tasks/next", self.strange(body))

    def report_status(self):
        c = self.rng.choice
        body = {"status": c(["success", "failed", "failed", "cancelled"]), **self.some(worker_id=self.pick(self.workers), summary=c([{}, {"loss": 0.5}, {"a.b": 1}, None]))}
        self.send("POST", "%s/tasks/%s/status" % (ME, self.pick(self.tasks)), self.strange(body))

    def heartbeat(self):
        self.send("POST", "%s/tasks/%s/heartbeat%s" % (ME, self.pick(self.tasks), self.rng.choice(["", "?worker_id=", "?worker_id=" + self.pick(self.workers)])))

    def update(self):
        c = self.rng.choice
        some = sorted(self.rng.sample(self.tasks, min(len(self.tasks), c([1, 1, 2, 3]))), key=self.tasks.index)
        reset = c(["", "?reset_pending=false", "?reset_pending=true", "?reset_pending=0", "?reset_pending=Off"])
        body = []
        for t in some:
            now = self.ours.call(("GET", "%s/tasks/<%s>" % (ME, t), self.auth, (), None))
            u = {c(["task_id", "_id"]): "<%s>" % t}
            u.update(self.some(task_name=c(NAMES + [None]), priority=c([1, 10, "4"]), max_retries=c([1, 5]), retries=c([0, 1]), metadata=c([{"k": 2}, {}, {"m.n": 1}]),
                               args=c([{"n": 9}, {"z.y": 1}, {}]), summary=c([{"s": 1}, {}]), cmd=c(["c", ["d"]]), heartbeat_timeout=c([100, None]), task_timeout=c([5000, None])))
            if now[0] == 200 and self.rng.random() < .5:
                u["status"] = c(MOVES[json.loads(now[2])["status"]])
            if self.rng.random() < .3:
                u["replace_fields"] = c([["args"], ["metadata", "summary"], [], ["cmd"]])
            body.append(self.strange(u) if self.rng.random() < .3 else u)
        self.send("PUT", ME + "/tasks" + reset, body)

    def look(self):
        kind = self.rng.choice(["task", "task", "worker"])
        self.send("GET", "%s/%ss/%s" % (ME, kind, self.pick(getattr(self, kind + "s"))))

    def worker_status(self):
        self.send("POST", "%s/workers/%s/status" % (ME, self.pick(self.workers)), self.strange({"status": self.rng.choice(["active", "suspended", "active", "crashed"])}))

    def drop(self):
        if self.rng.random() < .6:
            self.send("DELETE", "%s/tasks/%s" % (ME, self.pick(self.tasks)))
        else:
            self.send("DELETE", "%s/workers/%s%s" % (ME, self.pick(self.workers), self.rng.choice(["", "?cascade_update=true", "?cascade_update=false", "?cascade_update=x"])))

    def queue(self):
        c = self.rng.choice
        if self.rng.random() < .5:
            self.send("GET", ME, auth=c([self.auth, self.auth, "<%squeue0>:pw" % self.name.replace("-", "_")]))
        else:
            self.send("PUT", ME, self.strange({"metadata_update": c([{"a": 1}, {"a.b": 2}, {"c": {"d": [1]}}, {}, None])}))

    def wrong(self):
        c = self.rng.choice
        path = c([ME, ME + "/tasks", ME + "/tasks/search", ME + "/tasks/x/status", "/nowhere", ME + "/nothing", "/health", ME + "/workers/x", "/api/v1/queues", ME + "/tasks/next/"])
        self.send(c(["GET", "POST", "PUT", "DELETE", "PATCH"]) if path not in (ME, ME + "/tasks") else "PATCH", path,
                  c([None, "{}", "[", "", "1", '{"a":1,}', '{"a":1}x', "nul"]), auth=c([self.auth, None, "nobody:x", self.name + ":wrong", "nocolon"]),
                  head=c([(), (("Content-Type", "text/plain"),), (("Content-Type", "application/x+json; a=b"),)]))

    def run(self, length):
        steps = [(self.submit, 20), (self.fetch, 16), (self.report_status, 14), (self.search, 12), (self.update, 12), (self.look, 8), (self.heartbeat, 5), (self.make_worker, 4),
                 (self.worker_status, 4), (lambda: self.search("worker"), 4), (self.drop, 3), (self.queue, 3), (self.wrong, 5)]
        for _ in range(3):
            self.submit()
        self.make_worker()
        for _ in range(length):
            if self.broken:
                return
            self.rng.choices([s for s, _ in steps], [w for _, w in steps])[0]()


# ---- each row of DELIBERATE once, and what chance would hardly find ----

def special(make):
    """Each in a queue of its own, for states may differ after it."""
    def one(*requests):
        s = make()
        for method, path, body in requests:
            keep = "task" if path == ME + "/tasks" and method == "POST" else None
            if s.tasks:
                path, body = path.replace("TASK", "<%s>" % s.tasks[0]), body and body.replace("TASK", "<%s>" % s.tasks[0])
            s.send(method, path, body, keep=keep)
    submit = ("POST", ME + "/tasks", '{"args":{"a":1}}')
    one(("POST", ME + "/tasks", '{"args":{"a":1,"a.b":2}}'))
    one(("POST", ME + "/tasks", '{"args":{"a":123456789012345678901234567890}}'))
    one(submit, ("POST", ME + "/tasks/next", '{"eta_max":"soon"}'))
    one(submit, ("POST", ME + "/tasks/search", '{"extra_filter":{"args.a":{"$near":1}}}'))
    one(("POST", ME + "/workers", '{"worker_name":"a b"}'))
    one(submit, ("PUT", ME + "/tasks", '[{"task_id":"TASK","priority":null}]'))
    one(submit, ("PUT", ME + "/tasks?reset_pending=false", '[{"task_id":"TASK","status":"success"}]'))
    one(submit, ("PUT", ME + "/tasks", '[{"task_id":"TASK","args":{"a.b":1}}]'))
    one(("POST", ME + "/tasks", '{"args":{"a":NaN}}'))
    one(("POST", ME + "/tasks", '{"args":{"a":1e999}}'))
    one(("POST", ME + "/tasks", '{"args":'))
    one(("POST", ME + "/tasks", '{"args":{"a b":1}}'))
    one(("POST", ME + "/tasks", '{"args":{"a":1},"client_version":"x"}'))
    one(("POST", "/api/v1/queues", '{"password":"pw"}'))
    make().send("POST", ME + "/tasks", "{}", head=(("Content-Type", "text/plain"),))
    one(("PATCH", ME, None), ("HEAD", "/health", None), ("OPTIONS", ME, None))
    one(("GET", "/", None), ("GET", "/docs", None), ("GET", "/api/v1/polling", None), ("GET", "/health", None), ("GET", "/health/full", None))
    one(("GET", ME + "/tasks/nothing", None), ("DELETE", ME + "?cascade_delete=maybe", None), ("DELETE", ME, None), ("GET", ME, None))


def main(argv):
    seed = int(argv[3]) if len(argv) > 3 else 1
    sequences = int(argv[4]) if len(argv) > 4 else 8
    length = int(argv[5]) if len(argv) > 5 else 100
    ref, ours = Side(argv[1], "reference"), Side(argv[2], "ours")
    rng = random.Random(seed)
    run = "%06x" % random.SystemRandom().randrange(1 << 24)
    seen = {name: 0 for name, _, _, _ in DELIBERATE}
    total = {"same": 0, "failed": 0, "queues": 0}

    def report(req, r, o):
        what = differences(r, o)
        for name, breaks, holds, _ in DELIBERATE if what or r.status == o.status == 400 else ():
            if holds(req, r, o):
                seen[name] += 1
                return breaks
        if not what:
            total["same"] += 1
            return False
        total["failed"] += 1
        print("FAILED: %s differs: %s %s %s" % (", ".join(what), req[0], req[1], (req[4] or "")[:500]))
        for side, a in (("reference", r), ("ours", o)):
            print("    %-9s %d %s %s" % (side, a.status, {k: v for k, v in a.head.items() if k in ("allow", "content-type", "location", "www-authenticate")},
                                         json.dumps(a.body, ensure_ascii=False)[:800]))
        return True

    def make():
        total["queues"] += 1
        return Sequence(ref, ours, rng, "d%s-%d" % (run, total["queues"]), report)

    special(make)
    for _ in range(sequences):
        make().run(length)
    print("seed %d: %d answers the same; different on purpose:" % (seed, total["same"]))
    for name, _, _, reason in DELIBERATE:
        print("  %4d  %s: %s" % (seen[name], name, reason))
        if not seen[name]:
            print("FAILED: %s does not differ any more: strike it from the table" % name)
            total["failed"] += 1
    print("differ: %d passed, %d failed" % (total["same"] + sum(seen.values()), total["failed"]))
    return total["failed"] > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
