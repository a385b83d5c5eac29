#!/usr/bin/env python3
"""Kills two nodes at random (SIGKILL) while they talk, and checks that nothing acknowledged is lost or doubled.

Two homes in a temporary folder become contacts over 127.0.0.1. One thread a side sends numbered messages through the
command line, with and without its node running. The main thread kills a node, starts it again, and so on. In the end
both logs must hold every acknowledged message once, under the id that was acknowledged, in the same order. A message
whose command failed may be there once or not at all.

Exit code: 0 when all that holds, 1 when not (the homes are kept and named), 2 on a mistake in the call.
Standard library only.
"""

import argparse
import json
import os
import pathlib
import random
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
READY_WITHIN = 60
COMMAND_WITHIN = 60
PAGE = 200


class Broken(Exception):
    """The run cannot go on, or a promise is broken."""


class Side:
    """One home, its node while there is one, and what was sent from it."""

    def __init__(self, moim, folder, name):
        self.moim, self.name = moim, name
        self.home = folder / name
        self.log = open(folder / f"{name}.log", "ab")
        self.node = None
        self.peer = None
        self.acknowledged = {}  # text -> id
        self.uncertain = set()  # texts whose command failed
        self.began = 0

    def ask(self, *words):
        """Runs a command; its exit code and its JSON object (None where it printed none)."""
        command = [self.moim, "--home", str(self.home), "--json", *words]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_WITHIN)
        if done.returncode != 0:
            self.log.write(done.stderr)
        lines = done.stdout.decode().splitlines()
        return done.returncode, json.loads(lines[0]) if lines else None

    def must(self, *words):
        code, answer = self.ask(*words)
        if code != 0 or answer is None:
            raise Broken(f"{self.name}: `moim {' '.join(words)}` ended with {code}")
        return answer

    def start(self):
        """Starts the node and waits for its ready line; tries again while a command holds the home."""
        deadline = time.monotonic() + READY_WITHIN
        command = [self.moim, "--home", str(self.home), "--json", "up", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]
        while time.monotonic() < deadline:
            self.node = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
            readable, _, _ = select.select([self.node.stdout], [], [], deadline - time.monotonic())
            line = self.node.stdout.readline() if readable else b""
            if line and json.loads(line).get("event") == "ready":
                return
            self.kill()
        raise Broken(f"{self.name}: no node was ready within {READY_WITHIN} s; see {self.log.name}")

    def kill(self):
        """SIGKILL, to this process alone."""
        self.node.kill()
        self.node.wait()
        self.node.stdout.close()

    def send_one(self):
        self.began += 1
        text = f"{self.name} {self.began} 모임"
        try:
            code, answer = self.ask("send", f"@{self.peer}", text)
        except subprocess.TimeoutExpired:
            code, answer = None, None
        # A timeout of waiting (7) was acknowledged too: the object is on stdout.
        if answer and "id" in answer and code in (0, 7):
            self.acknowledged[text] = answer["id"]
        else:
            self.uncertain.add(text)

    def messages(self):
        """The whole log of the chat, oldest first."""
        pages, before = [], []
        while True:
            page = self.must("log", f"@{self.peer}", "-n", str(PAGE), *before)["messages"]
            pages = page + pages
            if len(page) < PAGE:
                return pages
            before = ["--before", page[0]["id"]]


def wait_until(what, holds, seconds):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Broken(f"not within {seconds} s: {what}")
        time.sleep(0.2)


def become_contacts(a, b):
    for side in (a, b):
        side.must("init", "--name", side.name, "--no-passphrase")
        side.start()
    a.peer, b.peer = b.name, a.name
    link = a.must("invite", "--auto-accept")["link"]
    b.must("add", link)

    def connected(side):
        return any(contact["state"] == "connected" for contact in side.must("contacts")["contacts"])

    wait_until("both are connected contacts", lambda: connected(a) and connected(b), 60)


def kill_and_restart(sides, cycles, chance, stop):
    threads = [threading.Thread(target=keep_sending, args=(side, stop)) for side in sides]
    for thread in threads:
        thread.start()
    try:
        for cycle in range(1, cycles + 1):
            time.sleep(chance.uniform(0.05, 1.5))
            victims = chance.choice([[sides[0]], [sides[1]], sides])
            for side in victims:
                side.kill()
            time.sleep(chance.choice([0, 0, chance.uniform(0, 0.5)]))
            for side in victims:
                side.start()
            print(f"cycle {cycle}: killed {' and '.join(side.name for side in victims)}", file=sys.stderr)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def keep_sending(side, stop):
    while not stop.is_set():
        side.send_one()


def faults(sides):
    """What is wrong with the two logs, in sentences; and the logs."""
    found, logs = [], [side.messages() for side in sides]
    acknowledged = {text: id for side in sides for text, id in side.acknowledged.items()}
    uncertain = set().union(*(side.uncertain for side in sides))
    for side, log in zip(sides, logs):
        ids, texts = [message["id"] for message in log], [message.get("text") for message in log]
        if len(set(ids)) != len(ids):
            found.append(f"{side.name} shows an id twice")
        times = {}
        for text in texts:
            times[text] = times.get(text, 0) + 1
        found += [f"{side.name} lost “{text}”" for text in acknowledged if text not in times]
        found += [f"{side.name} shows “{text}” {n} times" for text, n in times.items() if n > 1]
        found += [f"{side.name} shows “{text}”, which nobody sent" for text in times if text not in acknowledged and text not in uncertain]
        known = {message.get("text"): message["id"] for message in log}
        found += [f"{side.name} has “{text}” under another id" for text, id in acknowledged.items() if known.get(text, id) != id]
    if [message["id"] for message in logs[0]] != [message["id"] for message in logs[1]]:
        found.append("the two logs differ in what they hold or in its order")
    return found, logs


def main():
    parser = argparse.ArgumentParser(prog="scripts/soak-kills", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=20, help="kills and restarts (default 20)")
    parser.add_argument("--seed", type=int, help="seed of the times and victims (default: drawn and printed)")
    parser.add_argument("--settle", type=int, default=120, help="seconds for everything to arrive at the end (default 120)")
    default = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "moim"
    parser.add_argument("--moim", type=pathlib.Path, default=default, help="the binary (default: the release build)")
    parser.add_argument("--keep", action="store_true", help="keep the homes")
    options = parser.parse_args()
    if not options.moim.is_file():
        parser.error(f"there is no {options.moim}: cargo build --release, or --moim PATH")
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    folder = pathlib.Path(tempfile.mkdtemp(prefix="moim-"))
    print(f"seed {seed}, homes in {folder}", file=sys.stderr)

    sides = [Side(str(options.moim.resolve()), folder, name) for name in ("ana", "ben")]
    began, held = time.monotonic(), False
    try:
        become_contacts(*sides)
        kill_and_restart(sides, options.cycles, random.Random(seed), threading.Event())
        try:
            wait_until("both logs hold everything", lambda: not faults(sides)[0], options.settle)
        except Broken:
            pass
        found, logs = faults(sides)
        for fault in found[:50]:
            print(fault, file=sys.stderr)
        sent, failed = (sum(len(of(side)) for side in sides) for of in (lambda s: s.acknowledged, lambda s: s.uncertain))
        lost = sum(" lost " in fault for fault in found)
        print(f"seed {seed}: {options.cycles} cycles, {sent} messages acknowledged, {failed} commands failed, "
              f"{len(logs[0])} in the log, {lost} lost, {len(found) - lost} other faults, {time.monotonic() - began:.0f} s")
        held = not found
    except Broken as broken:
        print(f"seed {seed}: {broken}", file=sys.stderr)
    finally:
        for side in sides:
            if side.node and side.node.poll() is None:
                side.kill()
            side.log.close()
        if held and not options.keep:
            shutil.rmtree(folder)
        else:
            print(f"the homes are kept in {folder}", file=sys.stderr)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
