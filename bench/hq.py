# SPDX-License-Identifier: MIT
"""Microseconds a no-op task on HyperQueue: its server and a worker of two cores, without journal and without files of output.

python3 bench/hq.py TASKS ROUNDS, with the hyperqueue package (of PyPI) at hand; a figure a line for each round.
"""
import os
import sys
import tempfile
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def run(client, tasks, mark):
    """Until the last task has made its mark: the client's own waiting looks once a second only."""
    job = Job(default_workdir=".")
    for i in range(tasks - 1):
        job.program(["true", str(i)], stdout=None, stderr=None)
    job.program(["touch", mark], stdout=None, stderr=None)
    began = time.monotonic()
    submitted = client.submit(job)
    while not os.path.exists(mark):
        time.sleep(0.0005)
    took = time.monotonic() - began
    client.wait_for_jobs([submitted])
    return took


def main():
    tasks, rounds = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        with LocalCluster(worker_config=WorkerConfig(cores=2)) as cluster:
            client = cluster.client()
            run(client, 20, "warm")
            figures = [run(client, tasks, "mark%d" % i) for i in range(rounds)]
        os.chdir("/")
    for took in figures:
        print("figure %d" % (took * 1e6 / tasks))


main()
