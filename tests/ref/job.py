# SPDX-License-Identifier: MIT
# A job under a loop, with the reference's own library: job.py info|finish|failed
import sys
import labtasker

what = sys.argv[1]
if what == "info":
    print("info", labtasker.task_info().args)
elif what == "finish":
    labtasker.finish("success", {"loss": 0.5})
    sys.exit(3)
else:
    labtasker.finish("failed", {"why": "bad"})
