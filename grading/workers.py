"""Processes that grade one submission after another; one that dies or hangs costs its submission only."""

import contextlib
import ctypes
import multiprocessing
import os
import queue
import resource
import signal
import sys
import threading
from pathlib import Path

import boxes

STARTING_SECONDS = 300
MOST_MEMORY = 4 << 30  # of a worker, beyond what it holds once it is ready


class Gone(Exception):
    """The worker did not come back with a result; the text says why."""


def _die_with_parent():
    """Ask the kernel to end this worker once the grading is gone, whatever it died of."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _work(pipe, grade):
    _die_with_parent()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # a student's text must not reach the terminal of whoever grades
        os.dup2(nowhere, stream)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MOST_MEMORY, held + MOST_MEMORY))
    pipe.send("ready")
    while arguments := pipe.recv():
        try:
            answer = (True, grade(*arguments))
        except Exception as error:
            answer = (False, error)
        except BaseException as error:  # none of ours ends a worker
            answer = (False, RuntimeError(f"{type(error).__name__}: {error}"[:200]))
        pipe.send(answer)


class Worker:
    """A process of its own that runs ``grade(*arguments)``."""

    def __init__(self, grade):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, grade), daemon=True)
        self.process.start()
        theirs.close()
        self.ready = False

    def run(self, arguments, seconds):
        """The result; raises what grade raised, or Gone. After Gone this worker is of no more use."""
        try:
            if not self.ready and not self.pipe.poll(STARTING_SECONDS):
                raise Gone(f"the grader's own process did not start in {STARTING_SECONDS} s")
            self.ready = self.ready or bool(self.pipe.recv())
            self.pipe.send(arguments)
            if not self.pipe.poll(seconds):
                raise Gone(f"the grader gave up on it after {seconds:g} s")
            fine, answer = self.pipe.recv()
        except (EOFError, OSError):
            raise Gone("the grader gave up on it: it ended the grader's own process") from None
        if not fine:
            raise answer
        return answer

    def end(self):
        """Let it go, or end it where it does not go by itself."""
        with contextlib.suppress(OSError):
            self.pipe.send(None)
        self.process.join(timeout=2)
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run_all(grade, jobs, todo, seconds):
    """Yields (arguments, result) of each as it is finished; a result that is an Exception says why there is none.

    ``grade`` is a function of a module; ``seconds`` is a deadline for one submission, beyond all of its own limits.
    """
    waiting, finished, stop = queue.SimpleQueue(), queue.SimpleQueue(), threading.Event()
    for arguments in todo:
        waiting.put(arguments)

    def keep_busy():
        worker = None
        while not stop.is_set():
            try:
                arguments = waiting.get_nowait()
            except queue.Empty:
                break
            try:
                worker = worker or Worker(grade)
                result = worker.run(arguments, seconds)
            except Exception as error:
                result = error if worker else boxes.DoesNotStart(f"the grader cannot start a process: {error}")
                if worker:
                    worker.end()
                worker = None
            finished.put((arguments, result))
        if worker:
            worker.end()

    threads = [threading.Thread(target=keep_busy, daemon=True) for _ in range(min(jobs, len(todo)))]
    for thread in threads:
        thread.start()
    try:
        for _ in todo:
            yield finished.get()
    finally:
        stop.set()


sys.path.insert(0, str(Path(__file__).parent))  # for the workers, which import the module of their function
