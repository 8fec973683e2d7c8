# SPDX-License-Identifier: MIT
"""The reference's own Python client against the server of the configuration: NAME of a function below, `many N`, or `cancel TASK_ID`."""
import sys
import time

import labtasker
from labtasker.api_models import TaskUpdateRequest
from labtasker.client.core import api
from labtasker.client.core.events import connect_events
from labtasker.client.core.exceptions import LabtaskerHTTPStatusError, WorkerSuspended


def drain():
    for i in range(20):
        labtasker.submit_task(task_name="py%d" % i, args={"n": i, "deep": {"x": [1, 2.5, None, "é"]}}, metadata={"tag": i % 3})
    found = labtasker.ls_tasks(limit=100, extra_filter={"args.n": {"$in": [3, 4]}})
    assert len(found.content) == 2, found
    some = found.content[0]
    labtasker.update_tasks(task_updates=[TaskUpdateRequest(_id=some.task_id, priority=99, metadata={"note": "first"})])
    again = labtasker.ls_tasks(task_id=some.task_id).content[0]
    assert again.priority == 99 and again.metadata["note"] == "first" and again.metadata["tag"] == some.metadata["tag"], again
    ran = []

    @labtasker.loop(required_fields=["n", "deep"], pass_args_dict=True)
    def job(args):
        assert args["deep"]["x"] == [1, 2.5, None, "é"], args
        ran.append(args["n"])
        if args["n"] == 7 and ran.count(7) == 1:
            raise RuntimeError("once")

    job()
    assert ran[0] == some.args["n"], ran
    assert sorted(set(ran)) == list(range(20)) and ran.count(7) == 2, ran
    ended = labtasker.ls_tasks(limit=100, task_name="py7").content[0]
    assert ended.status == "success" and ended.retries == 1, ended
    labtasker.delete_task(task_id=some.task_id)
    assert not labtasker.ls_tasks(task_id=some.task_id).content


def queue():
    q = api.get_queue()
    changed = api.update_queue(metadata_update={"note": {"a": 1}})
    assert changed.queue_id == q.queue_id and changed.metadata["note"] == {"a": 1}, changed
    assert api.get_queue().metadata == changed.metadata
    try:
        api.create_queue(queue_name=q.queue_name, password="x", metadata={})
        raise AssertionError("a name taken twice")
    except LabtaskerHTTPStatusError as e:
        assert e.response.status_code == 409, e
    assert api.health_check().status == "healthy"


def workers():
    """One that fails until it has crashed, gets nothing, and is set active again."""
    w = labtasker.create_worker(worker_name="clumsy", metadata={"gpu": 1}, max_retries=2)
    for i in range(2):
        labtasker.submit_task(task_name="hard", args={"hard": i})
    for i in range(2):
        got = api.fetch_task(worker_id=w, required_fields=["hard"])
        assert got.found and got.task.worker_id == w and got.task.status == "running", got
        api.refresh_task_heartbeat(got.task.task_id, worker_id=w)
        api.report_task_status(got.task.task_id, "failed", summary={"why": "clumsy"}, worker_id=w)
    one = labtasker.ls_workers(worker_id=w).content[0]
    assert one.status == "crashed" and one.retries == 2, one
    try:
        api.fetch_task(worker_id=w, required_fields=["hard"])
        raise AssertionError("a crashed worker is given a task")
    except WorkerSuspended:
        pass
    assert [x.worker_id for x in labtasker.ls_workers(extra_filter="worker_name == 'clumsy' and metadata.gpu >= 1").content] == [w]
    api.report_worker_status(w, "active")
    one = labtasker.ls_workers(worker_name="clumsy").content[0]
    assert one.status == "active" and one.retries == 0, one
    got = api.fetch_task(worker_id=w, required_fields=["hard"])
    assert got.found and got.task.retries == 1 and got.task.summary == {}, got
    labtasker.delete_worker(w, cascade_update=True)
    assert labtasker.ls_tasks(task_id=got.task.task_id).content[0].worker_id is None
    assert not labtasker.ls_workers(worker_id=w).content
    for t in labtasker.ls_tasks(task_name="hard").content:
        labtasker.delete_task(t.task_id)


def events():
    listener = connect_events(timeout=10)
    assert listener.get_client_id()

    def following(n):
        out, end = [], time.monotonic() + 20
        while len(out) < n and time.monotonic() < end:
            e = listener.get_event(timeout=1.0)
            if e:
                out.append(e)
        return out

    w = labtasker.create_worker(worker_name="seen", max_retries=3)
    t = labtasker.submit_task(task_name="seen", args={"seen": 1}).task_id
    api.fetch_task(worker_id=w, required_fields=["seen"])
    api.report_task_status(t, "failed", worker_id=w)
    labtasker.update_tasks(task_updates=[TaskUpdateRequest(_id=t, status="cancelled")])
    got = following(6)
    seen = [(e.event.entity_type, e.event.entity_id, e.event.old_state, e.event.new_state) for e in got]
    assert seen == [("worker", w, "created", "active"), ("task", t, "created", "pending"), ("task", t, "pending", "running"), ("worker", w, "active", "active"),
                    ("task", t, "running", "pending"), ("task", t, "pending", "cancelled")], seen
    assert [e.sequence for e in got] == list(range(got[0].sequence, got[0].sequence + 6)), got
    assert got[1].event.entity_data["_id"] == t and got[1].event.entity_data["args"] == {"seen": 1}, got[1]
    listener.stop()
    labtasker.delete_task(t)
    labtasker.delete_worker(w)


def filters():
    ids = [labtasker.submit_task(task_name="f%d" % i, args={"i": i, "s": "é%d" % i, "l": [i, i + 1], "d": {"k": i}} if i else {"i": 0}, priority=i).task_id for i in range(6)]
    rows = [
        ("args.i == 2", [2]), ("args.i > 1 and args.i <= 3", [2, 3]), ("args.i in [0, 5, 9]", [0, 5]), ("4 == args.i", [4]), ("args.i < 1 or args.i > 4", [0, 5]),
        ("3 in list(args.l)", [2, 3]), ("'k' in dict(args.d)", [1, 2, 3, 4, 5]), ("regex(args.s, '^é[23]$')", [2, 3]), ("exists(args.s, False)", [0]),
        ("args.i * 2 + 1 == args.d.k + 3", [2]), ("args.d.k == args.i and args.i % 2 == 1", [1, 3, 5]), ("priority >= args.i and args.i > 3", [4, 5]),
        ("created_at > date('2 days ago') and args.i == 1", [1]), ("created_at < date('2 days ago')", []), ('args["d"]["k"] == 5', [5]), ("status == 'pending' and task_name == 'f1'", [1]),
        ({"args.i": {"$in": [1, 2]}, "$nor": [{"args.s": "é1"}]}, [2]), ({"args.l": {"$elemMatch": {"$gte": 6}}}, [5]),
    ]
    for text, want in rows:
        found = labtasker.ls_tasks(limit=100, extra_filter=text).content
        assert sorted(ids.index(t.task_id) for t in found if t.task_id in ids) == want, (text, [t.args for t in found])
    got = api.fetch_task(required_fields=["i", "s", "l", "d"], extra_filter="args.i in [2, 3] and args.d.k * 2 == args.i + 3")
    assert got.found and got.task.task_id == ids[3], got
    for t in ids:
        labtasker.delete_task(t)


def timeouts():
    w = labtasker.create_worker(worker_name="asleep", max_retries=9)
    for field, given in (("heartbeat_timeout", {"heartbeat_timeout": 1.0}), ("task_timeout", {"task_timeout": 1})):
        t = labtasker.submit_task(task_name="late", args={field: 1}, max_retries=2, **given).task_id
        for end in ("pending", "failed"):
            assert api.fetch_task(worker_id=w, required_fields=[field]).found
            until = time.monotonic() + 20
            while labtasker.ls_tasks(task_id=t).content[0].status == "running" and time.monotonic() < until:
                time.sleep(0.1)
            now = labtasker.ls_tasks(task_id=t).content[0]
            assert now.status == end and "labtasker_error" in now.summary and now.worker_id is None, now
        assert now.retries == 2, now
        labtasker.delete_task(t)
    labtasker.delete_worker(w)


def many(n):
    for i in range(n):
        labtasker.submit_task(task_name="many", args={"n": i})
    print("client.py: all fine")


if sys.argv[1] == "cancel":
    api.report_task_status(task_id=sys.argv[2], status="cancelled", summary={})
elif sys.argv[1] == "many":
    many(int(sys.argv[2]))
else:
    {f.__name__: f for f in (drain, queue, workers, events, filters, timeouts)}[sys.argv[1]]()
    print("client.py: all fine")
