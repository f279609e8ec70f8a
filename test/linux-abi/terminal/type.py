"""Runs a command on a new terminal, types what it asks for, prints all that the screen showed.

    type.py raw|cooked STEPS COMMAND...

STEPS is JSON: a list of [text to wait for, text to type]. "raw" puts the terminal into raw mode first, as runnc
does for a container.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import tty

mode, steps, command = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    if mode == "raw":
        tty.setraw(0)
    os.execvp(command[0], command)
shown, seen = b"", 0
while True:
    if not select.select([master], [], [], 20)[0]:
        print("nothing more after: " + repr(shown[-200:]))
        sys.exit(1)
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    if not data:
        break
    shown += data
    while steps and (at := shown.find(steps[0][0].encode("latin1"), seen)) >= 0:
        seen = at + len(steps[0][0])
        os.write(master, steps.pop(0)[1].encode("latin1"))
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
