#!/usr/bin/env python3
"""What the scripts of the harness share: homes and their nodes, traffic, the comparison of logs, options, verdicts.

No script by itself. A script says what it does in `main`, gets its options from `options_of`, and ends with `finish`.
Exit codes: 0 the promise holds (or the script was skipped, with a word why), 1 it is broken, 2 a mistake in the call.
Standard library only.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# A machine may be busy with other work: generous, since nothing waits longer than it must.
READY_WITHIN = 60
COMMAND_WITHIN = 60
CALL_WITHIN = 60
PAGE = 500
# A panic says this; nothing else does.
PANIC_WORDS = ("has a fault and stops", "panicked at")


class Broken(Exception):
    """A promise is broken, or the run cannot go on."""


class Gone(Exception):
    """The node went away before it answered: whether it did what was asked is not known."""


class Refused(Exception):
    """The node answered with an error: nothing was done."""

    def __init__(self, error):
        super().__init__(error.get("message"))
        self.data = error.get("data") or {}
        self.code, self.reason, self.message = self.data.get("code"), self.data.get("reason"), error.get("message")


class Api:
    """One connection to a node's socket. One question at a time."""

    def __init__(self, path):
        try:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(CALL_WITHIN)
            self.socket.connect(str(path))
            self.lines = self.socket.makefile("rb")
        except OSError as error:
            raise Gone(str(error)) from error
        self.last = 0

    def call(self, method, **params):
        self.last += 1
        question = {"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}
        try:
            self.socket.sendall(json.dumps(question).encode() + b"\n")
            line = self.lines.readline()
        except OSError as error:
            raise Gone(str(error)) from error
        if not line.endswith(b"\n"):
            raise Gone("the connection ended")
        answer = json.loads(line)
        if "error" in answer:
            # The node was asked to stop meanwhile: it may or may not have been carried out.
            if (answer["error"].get("data") or {}).get("reason") == "node-gone":
                raise Gone("the node stopped")
            raise Refused(answer["error"])
        return answer["result"]

    def close(self):
        with contextlib.suppress(OSError):
            self.lines.close()
            self.socket.close()


class Side:
    """One home, and its node while there is one. Threads may call it while another kills and starts the node."""

    def __init__(self, moim, folder, name, passphrase=None):
        self.moim, self.name, self.folder = str(moim), name, pathlib.Path(folder)
        self.home = self.folder / name
        self.log = self.folder / f"{name}.log"
        self.node, self.socket, self.traced = None, self.home / "api.sock", None
        self.passphrase_file = None
        self.environment, self.port = None, 0
        if passphrase is not None:
            self.passphrase_file = self.folder / f"{name}.passphrase"
            self.passphrase_file.write_text(passphrase + "\n")

    def command(self, *words):
        closed = ["--passphrase-file", str(self.passphrase_file)] if self.passphrase_file else []
        return [self.moim, "--home", str(self.home), "--json", *closed, *words]

    def up_command(self):
        return self.command("up", "--no-mdns", "--listen", f"/ip4/127.0.0.1/tcp/{self.port}")

    def ask(self, *words):
        """Runs a command; its exit code, its JSON object (None where it printed none), its stderr."""
        done = subprocess.run(self.command(*words), stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_WITHIN, env=self.environment)
        errors = done.stderr.decode(errors="replace")
        if errors:
            with open(self.log, "a", encoding="utf-8") as log:
                log.write(errors)
        first = done.stdout.decode().splitlines()[:1]
        return done.returncode, json.loads(first[0]) if first else None, errors

    def must(self, *words):
        code, answer, errors = self.ask(*words)
        if code != 0 or answer is None:
            raise Broken(f"{self.name}: `moim {' '.join(words)}` ended with {code}: {errors.strip()[-300:]}")
        return answer

    def init(self):
        self.must("init", "--name", self.name, *([] if self.passphrase_file else ["--no-passphrase"]))

    def start(self):
        """Starts the node and waits for its ready line."""
        with open(self.log, "ab") as log:
            self.node = subprocess.Popen(self.up_command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self.environment)
        line = self.first_line()
        if not line or json.loads(line).get("event") != "ready":
            code = self.node.poll()
            self.kill()
            raise Broken(f"{self.name}: the node was not ready (exit code {code}); see {self.log}")
        self.socket = json.loads(line)["socket"]

    def first_line(self):
        readable, _, _ = select.select([self.node.stdout], [], [], READY_WITHIN)
        return self.node.stdout.readline() if readable else b""

    def kill(self):
        """SIGKILL, to this process alone."""
        if self.node is not None:
            self.node.kill()
            self.node.wait()
            self.node.stdout.close()
            self.node = None

    def stop(self, within=20):
        """SIGTERM; how many seconds the end took and the exit code."""
        began = time.monotonic()
        self.node.send_signal(signal.SIGTERM)
        try:
            code = self.node.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Broken(f"{self.name}: SIGTERM did not end the node within {within} s") from None
        took = time.monotonic() - began
        self.node.stdout.close()
        self.node = None
        return took, code

    def api(self):
        return Api(self.socket)

    def call(self, method, **params):
        api = self.api()
        try:
            return api.call(method, **params)
        finally:
            api.close()

    def messages(self, chat):
        """The whole log of a chat, oldest first; asks the node, or the home where none runs."""
        pages, before = [], None
        while True:
            page = self.page(chat, before)
            pages = page + pages
            if len(page) < PAGE:
                return pages
            before = page[0]["id"]

    def page(self, chat, before):
        if self.node is not None:
            return self.call("message.log", chat=chat, limit=PAGE, **({"before": before} if before else {}))["messages"]
        return self.must("log", chat, "-n", str(PAGE), *(["--before", before] if before else []))["messages"]

    def panics(self):
        """Lines of its log that tell of a panic."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if any(words in line for words in PANIC_WORDS)]


def wait_until(what, holds, seconds):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Broken(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def befriend(a, b):
    """Two sides with running nodes become contacts."""
    link = a.call("invite.create", auto_accept=True)["link"]
    b.call("contact.add", link=link)

    def connected(side, other):
        return any(c["state"] == "connected" and c["name"] == other.name for c in side.call("contact.list")["contacts"])

    wait_until(f"{a.name} and {b.name} are connected contacts", lambda: connected(a, b) and connected(b, a), 60)


def gather(founder, others, group):
    """A group of the founder and contacts of the founder; waits until all know all."""
    founder.call("group.new", name=group)
    founder.call("group.invite", group=f"#{group}", who=[f"@{side.name}" for side in others])

    def whole(side):
        with contextlib.suppress(Refused):
            members = side.call("group.members", group=f"#{group}")["members"]
            return len(members) == 1 + len(others)
        return False

    wait_until("all are in the group", lambda: all(whole(side) for side in (founder, *others)), 60)


def mailbox(run, owners):
    """One more home, whose node keeps mail for the owners; None where this moim has no mailboxes."""
    box = run.side("box")
    box.init()
    box.start()
    try:
        box.call("mailbox.serve", serve=True)
    except Refused as refused:
        if refused.reason != "no-such-method":
            raise
        box.kill()
        run.sides.remove(box)
        return None
    for owner in owners:
        owner.call("mailbox.add", at=box.call("mailbox.link")["link"])
    return box


class Chat:
    """A chat: what each side calls it, and what is known of what was said in it."""

    def __init__(self, names):
        self.names = names  # Side -> name of the chat on that side
        self.acknowledged = {}  # text -> id
        self.uncertain = set()  # texts whose sending was not answered
        self.lock = threading.Lock()
        self.began = 0

    def sides(self):
        return list(self.names)

    def next_text(self, side, extra=""):
        with self.lock:
            self.began += 1
            return f"{side.name} {self.began} 모임{extra}"

    def send(self, side, api=None, extra="", **params):
        """Sends one numbered message from a side and keeps whether it was acknowledged. Gives the answer, or None."""
        text = self.next_text(side, extra)
        try:
            answer = (api or side).call("message.send", chat=self.names[side], text=text, **params)
        except Gone:
            with self.lock:
                self.uncertain.add(text)
            raise
        except Refused as refused:
            # A timeout of waiting is of a message that is saved.
            with self.lock:
                if "id" in refused.data:
                    self.acknowledged[text] = refused.data["id"]
                else:
                    self.uncertain.add(text)
            raise
        with self.lock:
            self.acknowledged[text] = answer["id"]
        return answer

    def faults(self, whole=True):
        """What is wrong with the logs, in sentences. Not `whole`: messages under way may be missing on other sides."""
        found, logs = [], {side: self.messages(side) for side in self.names}
        with self.lock:
            acknowledged, uncertain = dict(self.acknowledged), set(self.uncertain)
        for side, log in logs.items():
            found += self.faults_of(side, log, acknowledged, uncertain, whole)
        orders = [[message["id"] for message in log] for log in logs.values()]
        if whole and any(order != orders[0] for order in orders):
            found.append("the logs differ in what they hold or in its order")
        return found

    def messages(self, side):
        """Messages of people on one side, without notices."""
        return [message for message in side.messages(self.names[side]) if message.get("kind") == "text"]

    def faults_of(self, side, log, acknowledged, uncertain, whole):
        found, ids, times = [], [message["id"] for message in log], {}
        if len(set(ids)) != len(ids):
            found.append(f"{side.name} shows an id twice")
        for message in log:
            times[message["text"]] = times.get(message["text"], 0) + 1
        must_have = acknowledged if whole else [text for text in acknowledged if text.startswith(side.name + " ")]
        found += [f"{side.name} lost “{text[:40]}”" for text in must_have if text not in times]
        found += [f"{side.name} shows “{text[:40]}” {n} times" for text, n in times.items() if n > 1]
        strangers = [text for text in times if text not in acknowledged and text not in uncertain]
        found += [f"{side.name} shows “{text[:40]}”, which nobody sent" for text in strangers]
        known = {message["text"]: message["id"] for message in log}
        found += [f"{side.name} has “{text[:40]}” under another id" for text, id in acknowledged.items() if known.get(text, id) != id]
        return found


def direct(a, b):
    return Chat({a: f"@{b.name}", b: f"@{a.name}"})


def settled_faults(chats, seconds):
    """Waits until all chats are whole on all sides; what is still wrong at the end."""
    def faults():
        try:
            return [fault for chat in chats for fault in chat.faults()]
        except (Gone, Refused) as error:
            return [f"a node did not answer: {error}"]

    deadline, found = time.monotonic() + seconds, faults()
    while found and time.monotonic() < deadline:
        # Doubled and strange messages do not go away.
        if any(" times" in fault or "nobody" in fault or "twice" in fault for fault in found):
            break
        time.sleep(0.2)
        found = faults()
    return found


class Talk:
    """Threads that send without a pause to speak of, several messages under way, until they are told to end."""

    def __init__(self, chats, workers, pause):
        self.over, self.pause, self.refused = threading.Event(), pause, []
        jobs = [(chat, side) for chat in chats for side in chat.sides() for _ in range(workers)]
        self.threads = [threading.Thread(target=self.run, args=job, daemon=True) for job in jobs]
        for thread in self.threads:
            thread.start()

    def run(self, chat, side):
        api = None
        while not self.over.is_set():
            try:
                api = api or side.api()
                chat.send(side, api)
            except Gone:
                if api:
                    api.close()
                api = None
            except Refused as refused:
                self.refused.append(f"{side.name} was refused: {refused.message}")
            # The node may be away for a while: not a loop that eats the processor.
            self.over.wait(self.pause if api else 0.02)
        if api:
            api.close()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        return self.refused


class Run:
    """One run of a script: its options, its folder, its verdict and figures."""

    def __init__(self, options):
        self.options = options
        self.moim = options.moim.resolve()
        self.quick = options.quick
        self.seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
        self.chance = random.Random(self.seed)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="moim-"))
        self.sides, self.found, self.figures = [], [], []
        self.began = time.monotonic()
        self.say(f"seed {self.seed}, homes in {self.folder}")

    def side(self, name, **more):
        side = Side(self.moim, more.pop("folder", self.folder), name, **more)
        self.sides.append(side)
        return side

    def say(self, words):
        print(words, file=sys.stderr, flush=True)

    def fault(self, words):
        self.found.append(words)
        if len(self.found) <= 50:
            self.say(f"BROKEN: {words}")

    def figure(self, words):
        self.figures.append(words)

    def finish(self):
        for side in self.sides:
            for line in side.panics():
                self.fault(f"{side.name} panicked: {line}")
            side.kill()
        held = not self.found
        words = "; ".join([*self.figures, f"{len(self.found)} faults", f"{time.monotonic() - self.began:.0f} s"])
        print(f"{'holds' if held else 'BROKEN'}: {words} (seed {self.seed})", flush=True)
        if held and not self.options.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            self.say(f"the homes are kept in {self.folder}")
        return 0 if held else 1


def skip(why):
    """Ends the script: it cannot run here, and that is no fault."""
    print(f"skipped: {why}", flush=True)
    sys.exit(0)


def carry_out(script, words, body, more=None):
    """Parses options, runs `body(run)`, and exits with its verdict."""
    parser = argparse.ArgumentParser(prog=f"scripts/{script}", description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a run of a minute or so")
    parser.add_argument("--seed", type=int, help="seed of everything drawn at random (default: drawn and printed)")
    parser.add_argument("--moim", type=pathlib.Path, help="the binary (default: the release build, built when it is not there)")
    parser.add_argument("--keep", action="store_true", help="keep the homes")
    if more:
        more(parser)
    options = parser.parse_args()
    options.moim = options.moim or built()
    if not options.moim.is_file():
        parser.error(f"there is no {options.moim}")
    run = Run(options)
    # So that what was mounted and started is taken down again when the terminal is closed or a limit of time ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        body(run)
    except (Broken, Gone, Refused, subprocess.TimeoutExpired) as error:
        run.fault(f"{type(error).__name__}: {error}")
    except BaseException:
        for side in run.sides:
            side.kill()
        run.say(f"the homes are kept in {run.folder}")
        raise
    sys.exit(run.finish())


def built():
    """The release build; made where it is not there."""
    path = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "moim"
    if not path.is_file():
        if not shutil.which("cargo"):
            skip(f"there is no {path} and no cargo to build it: --moim PATH")
        if subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "moim"], cwd=ROOT).returncode != 0:
            raise SystemExit("the release build failed")
    return path


def copy_home(source, target):
    """A home as it lies on the disk, without the socket of a node, and without the mark by which it would know that it is a
    copy: it stands for the home itself at that time."""
    copy_as_it_is(source, target, "made")


def copy_as_it_is(source, target, *without):
    """The same as people copy it: it knows that it is a copy."""
    ignored = shutil.ignore_patterns("api.sock", "api.path", *without)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=ignored)


def prepared_pair(run, group="picnic"):
    """Two homes that are contacts and share a group, stopped and kept as they are for `fresh`."""
    folder = run.folder / "pair"
    folder.mkdir()
    ana, ben = run.side("ana", folder=folder), run.side("ben", folder=folder)
    for side in (ana, ben):
        side.init()
        side.start()
    befriend(ana, ben)
    gather(ana, [ben], group)
    for side in (ana, ben):
        side.stop()
        copy_home(side.home, folder / f"{side.name}.template")
    return ana, ben


def fresh(run, sides):
    """Puts the homes of `prepared_pair` back to how they were, and gives their two chats: one to one, and the group."""
    for side in sides:
        copy_home(side.folder / f"{side.name}.template", side.home)
    return direct(*sides), Chat({side: "#picnic" for side in sides})
