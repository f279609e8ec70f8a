"""Drives an interactive bash on a terminal through job control: types each line once what came before has been said."""
import os
import pty
import re
import select
import sys
import tty

STEPS = [
    # What to type, what must be said after it: the end of the line is shown before the terminal is the program's, so a
    # program that is typed at says something first.
    ("echo $((6*7))\r", r"\r\n42\r\nready> "),
    ("echo on; cat\r", r"\r\non\r\n"),
    ("typed\r", r"typed\r\ntyped\r\n"),
    ("\x1a", r"\[1\]\+  Stopped +cat\r\nready> "),
    ("jobs\r", r"\[1\]\+  Stopped +cat\r\nready> "),
    ("fg\r", r"\r\ncat\r\n"),
    ("again\r", r"again\r\nagain\r\n"),
    ("\x03", r"\^C\r\nready> "),
    ("echo status $?\r", r"status 130\r\nready> "),
    ("cat &\r", r"\[1\] \d+\r\n"),
    ("wait\r", r"Stopped +cat\r\n"),  # it reads from the terminal in the background
    ("kill -9 %1; wait; echo done\r", r"done\r\n"),
    ("sh -c 'echo on; exec sleep 100' | cat\r", r"\r\non\r\n"),
    ("\x1a", r"Stopped +sh -c .* \| cat\r\nready> "),
    ("bg\r", r" \| cat &\r\nready> "),
    ("kill %1; wait; echo ended\r", r"ended\r\n"),
    ("exit 3\r", None),
]

pid, fd = pty.fork()
if pid == 0:
    tty.setraw(0)  # the guest has the line discipline
    os.execv(sys.argv[1], sys.argv[1:])

said = ""


def until(pattern):
    global said
    while not (found := re.search(pattern, said)):
        if not select.select([fd], [], [], 60)[0]:
            sys.exit(f"waited in vain for {pattern!r} in {said!r}")
        try:
            said += os.read(fd, 4096).decode("latin1")
        except OSError:
            sys.exit(f"ended before {pattern!r} in {said!r}")
    said = said[found.end():]


until("ready> ")
for line, pattern in STEPS:
    os.write(fd, line.encode())
    if pattern:
        until(pattern)
try:
    while os.read(fd, 4096):
        pass
except OSError:
    pass
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(0 if status == 3 else f"status {status}")
