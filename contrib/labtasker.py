# SPDX-License-Identifier: MIT
"""A Python function as the job of labtasker: one file, standard library only, Python >= 3.4.

    import labtasker
    from labtasker import Required

    @labtasker.loop(required_fields=["prompt"], extra_filter={"metadata.tags": "a"})
    def main(steps: int = Required(), width=Required(alias="size.width", resolver=int)):
        print(labtasker.task_info().args["prompt"], steps, width)
        labtasker.finish("success", {"loss": 0.1})

    if __name__ == "__main__":
        main()

It takes the place of the package of that name.  main() becomes `labtasker loop --pipe -- THIS PROGRAM AGAIN`, whose processes call the function for
each task (PROTOCOL 5).  So what stands before main() runs once in each of them, not for each task, and what follows it runs
at their end, when there are no more tasks; the loop gives them --grace for it.  There is one loop in a program,
and none in a program that is itself the job of labtasker loop.

A function that returns has succeeded, an exception fails its task.  What it prints goes to stderr and into the task's run.log.

LABTASKER_BIN           the program, where it is neither beside this file, in the folder above, nor in PATH
LABTASKER_LOOP_OPTIONS  more options for labtasker loop: "-j 2 --wait"
"""
import enum
import functools
import inspect
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import traceback

__all__ = ["loop", "Required", "task_info", "finish", "submit_task", "current_task_id", "current_worker_id", "is_enabled", "Task",
           "LabtaskerError", "LabtaskerRuntimeError", "LabtaskerValueError", "LabtaskerTypeError"]


class LabtaskerError(Exception):
    pass


class LabtaskerRuntimeError(LabtaskerError, RuntimeError):
    pass


class LabtaskerValueError(LabtaskerError, ValueError):
    pass


class LabtaskerTypeError(LabtaskerError, TypeError):
    pass


class Task(object):
    """A task as the server gave it: task_id, task_name, args, metadata, ..."""

    def __init__(self, members):
        self.__dict__.update(members)

    def __repr__(self):
        return "Task(%s)" % ", ".join("%s=%r" % m for m in sorted(self.__dict__.items()))


class Required(object):
    """An argument that comes from the task's args: by the parameter's name, or alias ("a.b").  resolver makes the value of it; without
    one the parameter's annotation does: int, float, bool, str, paths, enums, dataclasses, list, tuple, set."""

    def __init__(self, *, alias=None, resolver=None):
        self.alias = alias
        self.resolver = resolver

    def __repr__(self):
        return "Required(alias=%r, resolver=%r)" % (self.alias, self.resolver)


# ---- the process that has the tasks ----

_serves = os.environ.pop("LABTASKER_PY_LOOP", None)   # the function; not for the programs that it starts
_tasks = _results = None
_current = None   # the task under way

if _serves:
    # At once: what the program or a library prints is no result, and who reads stdin gets no task.
    _tasks = os.fdopen(os.dup(0), "rb")
    _results = os.dup(1)
    os.dup2(2, 1)
    _null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(_null, 0)
    os.close(_null)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)


def _text(s):
    return s.encode("utf-8", "replace").decode("utf-8")


def _dumps(value, what):
    """JSON as everybody reads it: no NaN, no half characters."""
    try:
        text = json.dumps(value, allow_nan=False)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (TypeError, ValueError) as e:
        raise LabtaskerValueError("%s: it cannot be written as JSON: %s" % (what, e)) from None
    return text


def _tell(result):
    line = (json.dumps(result) + "\n").encode("ascii")
    while line:
        line = line[os.write(_results, line):]


def _failure(e):
    tb = e.__traceback__
    while tb and tb.tb_frame.f_code.co_filename == __file__:
        tb = tb.tb_next   # ours
    lines = traceback.format_exception(type(e), e, tb)
    sys.stderr.write("".join(map(_text, lines)))
    x = {"type": type(e).__name__, "message": _text(str(e)), "traceback": _text("".join(lines))}
    return {"status": "failed", "summary": {"labtasker_exception": x}}


def _flush():
    for f in (sys.stdout, sys.stderr):
        try:
            f.flush()
        except (AttributeError, ValueError):
            pass   # there is none, or it is closed


def _begin(task):
    """The environment that a job has."""
    global _current
    _current = task
    os.environ["LABTASKER_TASK_ID"] = task["task_id"]
    os.environ["LABTASKER_LOG_DIR"] = task["log_dir"]
    os.environ.pop("LABTASKER_TASK_TIMEOUT", None)
    if task.get("task_timeout"):
        os.environ["LABTASKER_TASK_TIMEOUT"] = str(task["task_timeout"])


def _serve(call):
    global _current, _tasks
    for line in iter(_tasks.readline, b""):
        task = json.loads(line.decode("ascii"))
        _begin(task)
        try:
            call(task["args"])
            result = {"status": "success", "summary": {}}
        except KeyboardInterrupt:
            raise
        except BaseException as e:
            result = _failure(e)
        _flush()
        _current = None
        result["task_id"] = task["task_id"]
        _tell(result)
    for name in ("LABTASKER_TASK_ID", "LABTASKER_LOG_DIR", "LABTASKER_TASK_TIMEOUT"):
        os.environ.pop(name, None)
    _tasks.close()
    _tasks = None


# ---- arguments ----

def _at(args, path):
    value = args
    for part in path.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            raise LabtaskerValueError("the task's args have no %s" % path) from None
    return value


def _whole(v):
    if isinstance(v, float) and v != int(v):
        raise ValueError("it is no whole number")
    return int(v)


def _truth(v):
    words = {"true": True, "false": False, "1": True, "0": False}
    if str(v).lower() not in words:
        raise ValueError("it is neither true nor false")
    return words[str(v).lower()]


def _word(v):
    if isinstance(v, (dict, list)) or v is None:
        raise ValueError("it is no text")
    return str(v)


_kinds = {int: _whole, float: float, bool: _truth, str: _word, list: list, tuple: tuple, set: set}


def _convert(kind, v):
    if not isinstance(kind, type) or isinstance(v, kind):
        return v
    if kind in _kinds:
        return _kinds[kind](v)
    if issubclass(kind, (enum.Enum, pathlib.PurePath)):
        return kind(v)
    if hasattr(kind, "__dataclass_fields__") and isinstance(v, dict):
        return kind(**v)
    return v


def _hints(func):
    try:
        import typing
        return typing.get_type_hints(func, include_extras=True)
    except Exception:   # an old Python, or a name that is there for type checkers only
        hints = {}
    for name, kind in getattr(func, "__annotations__", {}).items():
        try:
            hints[name] = eval(kind, func.__globals__) if isinstance(kind, str) else kind
        except Exception:
            pass
    return hints


def _markers(func):
    """For each parameter that is Required: its name, the marker, the annotation."""
    hints = _hints(func)
    found = []
    for name, parameter in inspect.signature(func).parameters.items():
        kind = hints.get(name)
        marks = [parameter.default] + list(getattr(kind, "__metadata__", ()))
        if hasattr(kind, "__metadata__"):
            kind = kind.__origin__
        for mark in marks:
            mark = Required() if mark is Required else mark
            if isinstance(mark, Required):
                found.append((name, mark, kind))
                break
    return found


def _resolve(markers, args):
    values = {}
    for name, mark, kind in markers:
        path = mark.alias or name
        value = _at(args, path)
        try:
            values[name] = mark.resolver(value) if mark.resolver else _convert(kind, value)
        except Exception as e:
            if mark.resolver:
                raise
            raise LabtaskerTypeError("the task's args: %s is %r: it cannot be made %s: %s" % (path, value, kind.__name__, e)) from None
    return values


# ---- the loop ----

def _program():
    """The labtasker program."""
    here = os.path.dirname(os.path.abspath(__file__))
    named = os.environ.get("LABTASKER_BIN")
    for path in [named] if named else [os.path.join(os.path.dirname(here), "labtasker"), os.path.join(here, "labtasker")]:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    path = None if named else shutil.which("labtasker")
    if not path:
        raise LabtaskerRuntimeError("LABTASKER_BIN: %s is no program" % named if named else
                                    "there is no program labtasker in PATH: set LABTASKER_BIN to where it is")
    return path


def _ourselves():
    """The words that run this program again."""
    main = sys.modules["__main__"]
    if not sys.argv or sys.argv[0] in ("", "-") or hasattr(sys, "ps1") or (sys.argv[0] == "-c" and not hasattr(sys, "orig_argv")):
        raise LabtaskerRuntimeError("labtasker.loop runs the program again for its tasks: put it into a file")
    if hasattr(sys, "orig_argv"):
        return [sys.executable] + sys.orig_argv[1:]
    flags = subprocess._args_from_interpreter_flags()
    spec = getattr(main, "__spec__", None)
    if spec is None:
        return [sys.executable] + flags + sys.argv
    name = spec.name[:-len(".__main__")] if spec.name.endswith(".__main__") else spec.name
    return [sys.executable] + flags + ["-m", name] + sys.argv[1:]


def _options(fields, extra_filter, worker_id, create_worker_kwargs, eta_max, heartbeat_timeout):
    words = []
    made = dict(create_worker_kwargs or {})
    names = [f for f in fields if f != "*"]
    if names:
        words += ["--require", ",".join(names)]
    if "*" in fields:
        words.append("--allow-extra")
    if extra_filter is not None:
        words += ["-f", extra_filter if isinstance(extra_filter, str) else _dumps(extra_filter, "extra_filter")]
    for option, value in (("--worker-id", worker_id), ("--worker-name", made.pop("worker_name", None)),
                          ("--worker-max-retries", made.pop("max_retries", None)), ("--eta-max", eta_max),
                          ("--heartbeat-timeout", heartbeat_timeout)):
        if value is not None:
            words += [option, str(value)]
    if made.pop("metadata", None) or made:
        raise LabtaskerTypeError("create_worker_kwargs may have worker_name and max_retries")
    return words + shlex.split(os.environ.get("LABTASKER_LOOP_OPTIONS", ""))


def _become(name, words):
    """This process becomes the loop."""
    program = _program()
    env = dict(os.environ, LABTASKER_PY_LOOP=name, LABTASKER_BIN=program)
    _flush()
    os.execve(program, [program, "loop", "--pipe"] + words + ["--"] + _ourselves(), env)


_LATER = 0x20 | 0x80 | 0x200   # CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR: not all of them have names in every Python


def loop(required_fields=None, extra_filter=None, cmd=None, worker_id=None, create_worker_kwargs=None, eta_max=None,
         heartbeat_timeout=None, pass_args_dict=False):
    """Calls the function for each task that has exactly the required_fields ("a.b"; "*": at least) and its Required() arguments, and that
    matches extra_filter: a dict as for MongoDB, or a Python text.  pass_args_dict: its first argument is the task's args.
    create_worker_kwargs: worker_name, max_retries.  cmd is taken and not used: the command that is noted with a task is this program."""
    if callable(required_fields):
        raise LabtaskerTypeError("write @labtasker.loop(), with the parentheses")

    def decorate(func):
        if getattr(getattr(func, "__code__", None), "co_flags", 0) & _LATER:
            raise LabtaskerTypeError("%s: a call of a generator or an async function runs nothing yet: write a function that does it all"
                                     % func.__name__)

        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            markers = _markers(func)
            name = "%s.%s" % (func.__module__, getattr(func, "__qualname__", func.__name__))

            def call(task_args):
                values = _resolve(markers, task_args)
                values.update(kwargs)
                func(*(((task_args,) if pass_args_dict else ()) + args), **values)

            if _serves and (_serves != name or _tasks is None or _current is not None):
                raise LabtaskerRuntimeError("%s: there is one labtasker.loop in a program: %s" % (name, _serves))
            if _serves:
                return _serve(call)
            if is_enabled() or "LABTASKER_SLOT" in os.environ:
                raise LabtaskerRuntimeError("%s: this is the job of a loop already, and would be one of its own, for other tasks: start the "
                                            "program by itself, with LABTASKER_LOOP_OPTIONS if need be" % name)
            fields = list(required_fields or []) + [m.alias or n for n, m, _ in markers]
            _become(name, _options(sorted(set(fields), key=fields.index), extra_filter, worker_id, create_worker_kwargs, eta_max,
                                   heartbeat_timeout))
        return wrapper
    return decorate


# ---- the task ----

def is_enabled():
    """Whether a task of labtasker is under way here, as a function of the loop or as the job of `labtasker loop -- CMD`."""
    return bool(os.environ.get("LABTASKER_LOG_DIR"))


def current_task_id():
    return os.environ.get("LABTASKER_TASK_ID")


def current_worker_id():
    return os.environ.get("LABTASKER_WORKER_ID")


def task_info():
    """The task under way."""
    if _current is not None:
        return Task(_current)
    if not is_enabled():
        raise LabtaskerRuntimeError("no task is under way: this was not started by labtasker loop")
    with open(os.path.join(os.environ["LABTASKER_LOG_DIR"], "task_info.json"), "rb") as f:
        return Task(json.loads(f.read().decode("utf-8")))


def finish(status, summary=None, skip_if_no_labtasker=True):
    """Says how the task under way has ended: "success", "failed" or "cancelled", and what to note with it.  It counts once the function, or
    the job, ends, however that ends."""
    if status not in ("success", "failed", "cancelled"):
        raise LabtaskerValueError("finish: the status is success, failed or cancelled, not %r" % (status,))
    if summary is not None and not isinstance(summary, dict):
        raise LabtaskerTypeError("finish: the summary is a dict")
    if not is_enabled():
        if skip_if_no_labtasker:
            return
        raise LabtaskerRuntimeError("finish: no task is under way: this was not started by labtasker loop")
    texts = (("status", _dumps({"status": status}, "finish")), ("summary", _dumps(summary or {}, "finish: summary")))
    for name, text in texts:
        path = os.path.join(os.environ["LABTASKER_LOG_DIR"], name + ".json")
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)


def submit_task(task_name=None, args=None, metadata=None, cmd=None, heartbeat_timeout=None, task_timeout=None, max_retries=3, priority=10):
    """Puts a task into the queue; the result has its task_id."""
    if isinstance(cmd, (list, tuple)):
        cmd = " ".join(map(shlex.quote, cmd))
    task = {"args": args or {}, "max_retries": max_retries, "priority": int(priority)}
    for name, value in (("task_name", task_name), ("metadata", metadata), ("cmd", cmd), ("heartbeat_timeout", heartbeat_timeout),
                        ("task_timeout", task_timeout)):
        if value is not None:
            task[name] = value
    process = subprocess.Popen([_program(), "submit", "--tasks", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    out, err = process.communicate((_dumps(task, "submit_task") + "\n").encode("ascii"))
    if process.returncode:
        text = err.decode("utf-8", "replace").strip()
        why = re.search("standard input(:1:[0-9]+| 1): (.*?)(?:; not sent: from line 1 on)?$", text, re.M)   # of no line that the caller wrote
        error = LabtaskerValueError if why and why.group(1) != " 1" else LabtaskerRuntimeError
        raise error("submit_task: " + why.group(2) if why else text)
    return Task({"task_id": out.decode("ascii").strip()})
