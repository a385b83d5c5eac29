#!/usr/bin/env python3
"""A small tracer (Linux, ptrace and seccomp): stops a program at every call that writes, in one order over all its threads.

`strace -e inject=…:when=K` counts each thread for itself, and a store that writes from a pool of threads is then never
stopped at most of its write points. Here the calls of all threads are one row, so that "the K-th" is exact. At a stop the
plan may let the call go on, kill the program before it, carry out a part of it and kill then (a torn write), or make it
fail with an error. What is written, synced and sent is kept in order for those who ask.

No script by itself. Standard library only; x86-64 and, without errors, aarch64. `why_not()` says why it cannot run here.
"""

import collections
import ctypes
import errno
import json
import os
import platform
import signal
import struct
import threading

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

TRACEME, CONT, SYSCALL, SETOPTIONS, POKEUSER, SYSCALL_INFO = 0, 7, 24, 0x4200, 6, 0x420E
# clone, fork, vfork, exec, seccomp; a traced program dies with its tracer; syscall stops are marked.
OPTIONS = 0x08 | 0x02 | 0x04 | 0x10 | 0x80 | 0x00100000 | 0x01
EVENT_SECCOMP = 7
WALL = 0x40000000
# Where x86-64 keeps the number of a call and its result, for an error put in its place.
ORIG_RAX, RAX = 15 * 8, 10 * 8

NUMBERS = {
    "x86_64": {
        "write": 1, "pwrite64": 18, "writev": 20, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47, "fsync": 74,
        "fdatasync": 75, "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "unlink": 87, "rmdir": 84, "openat": 257,
        "mkdirat": 258, "unlinkat": 263, "renameat": 264, "sync_file_range": 277, "fallocate": 285, "pwritev": 296,
        "renameat2": 316, "pwritev2": 328,
    },
    "aarch64": {
        "write": 64, "pwrite64": 68, "writev": 66, "sendto": 206, "recvfrom": 207, "sendmsg": 211, "recvmsg": 212, "fsync": 82,
        "fdatasync": 83, "truncate": 45, "ftruncate": 46, "openat": 56, "mkdirat": 34, "unlinkat": 35, "renameat": 38,
        "sync_file_range": 84, "fallocate": 47, "pwritev": 70, "renameat2": 276, "pwritev2": 287,
    },
}
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# The calls at which a disk can be left half done, or say no.
DISK = {"write", "pwrite64", "writev", "pwritev", "pwritev2", "fsync", "fdatasync", "truncate", "ftruncate", "rename", "renameat",
        "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "openat", "sync_file_range", "fallocate"}
NET = {"sendto", "sendmsg", "recvfrom", "recvmsg", "write", "writev"}
BY_FD = {"write", "pwrite64", "writev", "pwritev", "pwritev2", "fsync", "fdatasync", "ftruncate", "sync_file_range", "fallocate",
         "sendto", "sendmsg", "recvfrom", "recvmsg"}
MAKES = os.O_CREAT | os.O_TRUNC

# One call: `where` is the path, `data` what is written or sent, `at` its place in the file; `value` its result, where asked for.
Call = collections.namedtuple("Call", "name where other data at fd tid")


def why_not():
    """Why this machine cannot trace; None where it can."""
    if platform.system() != "Linux" or platform.machine() not in NUMBERS:
        return "tracing needs Linux on x86-64 or aarch64"
    done = []
    try:
        traced = Traced(["/bin/true"], "/", lambda number, call: None)
        done.append(traced.wait(20))
    except OSError as error:
        return f"tracing is not allowed here ({error})"
    return None if done == [0] else "tracing does not work here"


def can_fail():
    return platform.machine() == "x86_64"


def _ptrace(request, tid, address=0, data=0):
    ctypes.set_errno(0)
    result = libc.ptrace(request, tid, address, data)
    if result == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _filter(names):
    """A seccomp program: the named calls stop for the tracer, all others run at full speed."""
    numbers = NUMBERS[platform.machine()]
    wanted = sorted(numbers[name] for name in names if name in numbers)
    code = [(0x20, 0, 0, 4), (0x15, 1, 0, AUDIT_ARCH[platform.machine()]), (0x06, 0, 0, 0x7FFF0000), (0x20, 0, 0, 0)]
    for index, number in enumerate(wanted):
        code.append((0x15, len(wanted) - index, 0, number))
    code += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x7FF00000)]
    packed = b"".join(struct.pack("HBBI", *line) for line in code)
    return len(code), ctypes.create_string_buffer(packed)


class Traced:
    """A program under the tracer, from a thread of its own.

    `plan(number, call)` is asked at the K-th disk call under `under` (numbers from 1; calls of the network have number 0 and
    are shown only with `network`). It gives None to go on, "kill", ("tear", n) to write the first n bytes and kill, or
    ("fail", errno). `after(call, value)` is told the result of each shown call that ended, in the order of the ends.
    """

    def __init__(self, command, under, plan, after=None, network=False, stdout=None, stderr=None, env=None):
        self.command, self.under, self.plan, self.after, self.network = command, str(under), plan, after, network
        self.stdout, self.stderr, self.env = stdout, stderr, env
        self.points, self.killed_at, self.pid, self.code = 0, None, None, None
        self.failure, self.in_call = None, {}
        self.started, self.ended = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.started.wait()
        if self.failure:
            raise self.failure

    def poll(self):
        return self.code if self.ended.is_set() else None

    def wait(self, timeout=None):
        """The exit code, negative for a signal."""
        if not self.ended.wait(timeout):
            raise TimeoutError("the traced program goes on")
        if self.failure:
            raise self.failure
        return self.code

    def send_signal(self, number):
        if not self.ended.is_set():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        self.send_signal(signal.SIGKILL)
        self.ended.wait(20)

    def _run(self):
        try:
            self._start()
            self.started.set()
            self._follow()
        except BaseException as error:
            self.failure = error
            if self.pid and self.code is None:
                os.kill(self.pid, signal.SIGKILL)
        finally:
            self.started.set()
            self.ended.set()

    def _start(self):
        length, program = _filter(DISK | (NET if self.network else set()))
        head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", length, ctypes.addressof(program)))
        files = [os.open(os.devnull, os.O_RDONLY), self.stdout or os.open(os.devnull, os.O_WRONLY), self.stderr or os.open(os.devnull, os.O_WRONLY)]
        environment = os.environ if self.env is None else self.env
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for target, file in enumerate(files):
                    os.dup2(file, target)
                os.closerange(3, 256)
                libc.ptrace(TRACEME, 0, 0, 0)
                os.kill(os.getpid(), signal.SIGSTOP)
                # No new privileges, then the filter.
                libc.prctl(38, 1, 0, 0, 0)
                libc.prctl(22, 2, ctypes.byref(head), 0, 0)
                os.execvpe(self.command[0], self.command, environment)
            finally:
                os._exit(127)
        for index, file in enumerate(files):
            if (index, file) != (1, self.stdout) and (index, file) != (2, self.stderr):
                os.close(file)
        _, status = os.waitpid(self.pid, WALL)
        if not os.WIFSTOPPED(status):
            raise OSError(errno.EPERM, "the program was not stopped")
        _ptrace(SETOPTIONS, self.pid, 0, OPTIONS)
        _ptrace(CONT, self.pid)

    def _follow(self):
        # Threads of this program only: others of the same Python process wait for their own children.
        tids = {self.pid}
        while tids:
            tid, status = self._next(tids)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                tids.discard(tid)
                self.in_call.pop(tid, None)
                if tid == self.pid:
                    self.code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
                continue
            number, event = os.WSTOPSIG(status), status >> 16
            try:
                self._stopped(tids, tid, number, event)
            except OSError as error:
                if error.errno != errno.ESRCH:
                    raise

    def _next(self, tids):
        # __WNOTHREAD: only children of this very thread, which traces this one program.
        return os.waitpid(-1, WALL | 0x20000000)

    def _stopped(self, tids, tid, number, event):
        if tid not in tids:
            # A new thread says that it is there.
            tids.add(tid)
            return _ptrace(CONT, tid)
        if event == EVENT_SECCOMP:
            return self._entered(tid)
        if number == signal.SIGTRAP | 0x80:
            return self._left(tid)
        passed = 0 if number in (signal.SIGTRAP, signal.SIGSTOP) else number
        return _ptrace(CONT, tid, 0, passed)

    def _entered(self, tid):
        call = self._call(tid)
        if call is None:
            return _ptrace(CONT, tid)
        number = 0
        if call.name in DISK and self._inside(call):
            self.points += 1
            number = self.points
        order = self.plan(number, call)
        if order is None:
            if self.after is None:
                return _ptrace(CONT, tid)
            self.in_call[tid] = call
            return _ptrace(SYSCALL, tid)
        self.killed_at = self.killed_at or call
        if order == "kill":
            return os.kill(self.pid, signal.SIGKILL)
        if order[0] == "tear":
            self._tear(call, order[1])
            return os.kill(self.pid, signal.SIGKILL)
        # No call has the number -1: it is left out, and the result stands as we put it.
        _ptrace(POKEUSER, tid, ORIG_RAX, ctypes.c_ulong(-1 & (1 << 64) - 1).value)
        _ptrace(POKEUSER, tid, RAX, ctypes.c_ulong(-order[1] & (1 << 64) - 1).value)
        return _ptrace(CONT, tid)

    def _left(self, tid):
        call = self.in_call.pop(tid, None)
        if call is not None and self.after is not None:
            info = self._info(tid)
            self.after(call, struct.unpack_from("q", info, 24)[0])
        return _ptrace(CONT, tid)

    def _info(self, tid):
        buffer = ctypes.create_string_buffer(96)
        _ptrace(SYSCALL_INFO, tid, 96, ctypes.addressof(buffer))
        return buffer.raw

    def _inside(self, call):
        return call.where is not None and (call.where + "/").startswith(self.under + "/")

    def _call(self, tid):
        """What a stopped thread is about to do; None where it is nothing to show."""
        info = self._info(tid)
        number, args = struct.unpack_from("Q", info, 24)[0], struct.unpack_from("6Q", info, 32)
        names = {number: name for name, number in NUMBERS[platform.machine()].items()}
        name = names.get(number)
        if name is None:
            return None
        if name in BY_FD:
            return self._call_by_fd(tid, name, args)
        if name == "openat" and not args[2] & MAKES:
            return None
        at, path = (args[0], args[1]) if name in ("openat", "mkdirat", "unlinkat", "renameat", "renameat2") else (None, args[0])
        where, other = self._path(tid, at, path), None
        if name == "rename":
            other = self._path(tid, None, args[1])
        if name in ("renameat", "renameat2"):
            other = self._path(tid, args[2], args[3])
        call = Call(name, where, other, b"", args[2] if name == "openat" else args[1], None, tid)
        return call if self._inside(call) else None

    def _call_by_fd(self, tid, name, args):
        fd = args[0]
        try:
            where = os.readlink(f"/proc/{tid}/fd/{fd}")
        except OSError:
            return None
        inside = (where + "/").startswith(self.under + "/")
        if not inside and not (self.network and name in NET and where.startswith("socket:") or self.network and fd in (1, 2)):
            return None
        data, at = b"", 0
        if name in ("write", "pwrite64", "sendto"):
            data = self._memory(tid, args[1], args[2])
            at = args[3] if name == "pwrite64" else None
        elif name in ("writev", "pwritev", "pwritev2"):
            data = self._gathered(tid, args[1], args[2])
            at = args[3] if name != "writev" else None
        elif name == "sendmsg":
            header = self._memory(tid, args[1], 32)
            data = self._gathered(tid, *struct.unpack_from("2Q", header, 16))
        elif name == "ftruncate":
            at = args[1]
        elif name == "fallocate":
            at = args[2] + args[3]
        if inside and at is None:
            at = self._position(tid, fd)
        return Call(name, where, None, data, at, fd, tid)

    def _tear(self, call, length):
        with open(call.where, "r+b") as file:
            file.seek(call.at)
            file.write(call.data[:length])

    def _position(self, tid, fd):
        with open(f"/proc/{tid}/fdinfo/{fd}", encoding="ascii") as lines:
            fields = dict(line.split(":", 1) for line in lines if ":" in line)
        if int(fields["flags"], 8) & os.O_APPEND:
            return os.stat(f"/proc/{tid}/fd/{fd}").st_size
        return int(fields["pos"])

    def _path(self, tid, at, address):
        raw = self._memory(tid, address, 4096, True).split(b"\0", 1)[0].decode(errors="surrogateescape")
        base = f"/proc/{tid}/cwd" if at is None or ctypes.c_int(at & 0xFFFFFFFF).value == -100 else f"/proc/{tid}/fd/{at}"
        return os.path.normpath(os.path.join(os.readlink(base), raw))

    def _gathered(self, tid, address, count):
        parts = struct.unpack(f"{2 * count}Q", self._memory(tid, address, 16 * count))
        return b"".join(self._memory(tid, parts[n], parts[n + 1]) for n in range(0, len(parts), 2))

    def _memory(self, tid, address, length, upto=False):
        with open(f"/proc/{tid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            if not upto:
                return memory.read(length)
            # A path may end just before a page that is not there.
            first = memory.read(min(length, 4096 - address % 4096))
            if b"\0" in first or len(first) == length:
                return first
            return first + memory.read(length - len(first))


class TracedNode:
    """A node of a side that runs under the tracer; stands where `Side.node` stands."""

    def __init__(self, side, plan, after=None, network=False):
        self.side = side
        reads, writes = os.pipe()
        self.stdout = open(reads, "rb")
        log = os.open(side.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        side.node = self
        try:
            self.traced = Traced(side.up_command(), side.home, plan, after, network, writes, log, side.environment)
        finally:
            os.close(writes)
            os.close(log)

    def ready(self):
        """Waits for the ready line; False where the node ended without one."""
        line = self.side.first_line()
        if not line or b'"ready"' not in line:
            return False
        self.side.socket = json.loads(line)["socket"]
        return True

    def finish(self, within=30):
        """SIGTERM; the exit code."""
        self.traced.send_signal(signal.SIGTERM)
        return self.traced.wait(within)

    def kill(self):
        self.traced.kill()
        self.stdout.close()
        if self.side.node is self:
            self.side.node = None

    def wait(self):
        self.traced.ended.wait()

    def poll(self):
        return self.traced.poll()

    @property
    def points(self):
        return self.traced.points

    @property
    def killed_at(self):
        return self.traced.killed_at
