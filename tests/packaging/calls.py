"""Whether a unit allows every system call of a trace: `calls.py TRACE UNIT`. The trace is that of `strace -f -o TRACE`."""

import pathlib
import re
import subprocess
import sys

# Made before the unit's filter is in force: strace's child, and what changes its root and its user.
BEFORE = {"execve", "chroot", "chdir", "setgroups", "setgid", "setuid", "setresgid", "setresuid", "capget", "unshare"}


def sets():
    """What `systemd-analyze syscall-filter` lists: each set, with the calls and sets in it."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter"], check=True, text=True, capture_output=True).stdout
    found, current = {}, None
    for line in re.sub(r"\x1b\[[0-9;]*m", "", listed).splitlines():
        if line.startswith("@"):
            current = found.setdefault(line.strip(), [])
        elif line.strip() and not line.strip().startswith("#") and current is not None:
            current.append(line.strip())
    return found


def calls_in(known, name):
    if not name.startswith("@"):
        return {name}
    return set().union(*(calls_in(known, inner) for inner in known[name]))


def main():
    trace, unit = (pathlib.Path(name).read_text() for name in sys.argv[1:3])
    known = sets()
    # systemd always allows these.
    allowed = calls_in(known, "@default")
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        for name in line.removeprefix("~").split():
            calls = calls_in(known, name)
            allowed = allowed - calls if line.startswith("~") else allowed | calls
    made = set(re.findall(r"^\d+ +(\w+)\(", trace, re.MULTILINE)) - BEFORE
    if len(made) < 30:
        sys.exit(f"error: a server makes more calls than {sorted(made)}")
    if refused := sorted(made - allowed):
        sys.exit(f"error: the unit refuses {', '.join(refused)}")
    families = set(re.findall(r"\bsocket\((AF_\w+)", trace))
    listed = set(re.search(r"^RestrictAddressFamilies=(.*)$", unit, re.MULTILINE)[1].split())
    if refused := sorted(families - listed):
        sys.exit(f"error: the unit refuses sockets of {', '.join(refused)}")
    if re.search(r"^\d+ +m(map|protect)\(.*PROT_WRITE\|PROT_EXEC", trace, re.MULTILINE):
        sys.exit("error: the unit refuses memory that can be written and executed")
    print(f"the unit allows all {len(made)} system calls")


main()
