# SPDX-License-Identifier: MIT
"""The reference's own Python client against the server of the configuration: `drain`, or `cancel TASK_ID`."""
import sys

import labtasker
from labtasker.api_models import TaskUpdateRequest
from labtasker.client.core import api


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
    print("client.py: all fine")


if sys.argv[1] == "cancel":
    api.report_task_status(task_id=sys.argv[2], status="cancelled", summary={})
else:
    drain()
