"""Words that people bring from nc, ncat, socat, ss, netstat, curl and tcpdump: what does here what they do there.

Each is a hint for a command line that was refused; the words of one that is understood never come here.
"""

from collections.abc import Mapping

_AS_NC = "`portside listen 9000` is `nc -lvkp 9000`: it waits for any number of clients and says who comes"
_NUMERIC = "addresses and ports are always numbers: leave it out"
_WIDE = "-w/--wide shows timers, memory, round trip, retransmits and all else that the kernel tells"
_PROXY = "--proxy socks5://USER:PASSWORD@HOST:PORT, or http://…"
_LIVE = "on a terminal the table is live; --events prints a line for each change"
_DIR_CONN = "the number is an argument: DIR:CONN or DIR CONN"
_UNIX = "a unix socket is an address: unix:PATH"
_EXEC = "--exec CMD runs a program on the connection, --sh-exec CMD a line of the shell"
_FILTER = "it is part of the filter: "

_LISTEN: Mapping[str, str] = {
    **dict.fromkeys(("-l", "--listen", "-k", "--keep-open", "--fork", "-v", "--verbose"), _AS_NC),
    **dict.fromkeys(("-p", "--port", "--local-port"), "the port is an argument: portside listen 9000"),
    **dict.fromkeys(("-s", "-a", "-H", "--host", "--bind", "--address", "--source"),
                    "the address is an argument: portside listen 127.0.0.1:9000"),
    **dict.fromkeys(("-n", "--nodns"), _NUMERIC),
    "-e": _EXEC,
    "--lua-exec": "--handler FILE.py:NAME calls a function of yours for each client",
    **dict.fromkeys(("-w", "--wait", "--timeout"), "-i/--idle-timeout DURATION closes a silent connection"),
    "-q": "after the end of standard input a client gets FIN (--once, --send-only); --half-close-timeout DURATION",
    "-N": "with --once and --send-only the end of standard input is sent as FIN",
    "-d": "--no-stdin leaves standard input alone",
    "-m": "--max-conns N says how many clients there may be",
    "-x": "--format hex shows a dump, -o FILE.hex writes one to a file",
    "--hex-dump": "--format hex shows a dump, -o FILE.hex writes one to a file",
    "--append-output": "-o/--output FILE appends",
    "--reuseaddr": "that is always so; --reuse-port shares a port between processes",
    "--ssl": "--tls",
    "--ssl-trustfile": "--tls-ca FILE",
    "--ssl-verify": "--tls-verify, and --tls-ca FILE",
    "--cert": "--tls --tls-cert FILE",
    "--key": "--tls --tls-key FILE",
    **dict.fromkeys(("-U", "--unixsock"), _UNIX),
    **{f"--{name}": f"--format {name}" for name in ("json", "hex", "raw", "text", "classic")},
    "-j": "--format json",
    "-D": "--log-level debug",
    "--debug": "--log-level debug",
}  # fmt: skip

_CONNECT: Mapping[str, str] = {
    **dict.fromkeys(("-l", "--listen"), "portside listen waits for clients"),
    **dict.fromkeys(("-n", "--nodns"), "numbers are never looked up: leave it out"),
    **dict.fromkeys(("-k", "--insecure"), "--no-tls-verify takes any certificate"),
    "-N": "that is so: the end of standard input is sent as FIN; --no-shutdown keeps our side open",
    "-q": "--half-close-timeout DURATION ends it so long after the end of input",
    "--wait": "-w/--timeout DURATION for connecting, -i/--idle-timeout DURATION for silence after it",
    "--max-time": "-w/--timeout DURATION for connecting, -i/--idle-timeout DURATION for silence after it",
    "-d": "--recv-only leaves standard input alone",
    **dict.fromkeys(("-p", "--port"), "the peer's port is an argument: HOST PORT; --source :PORT is the port here"),
    "--source-port": "--source :PORT",
    "--host": "the host is an argument: portside connect HOST:PORT",
    **dict.fromkeys(("-x", "-X", "-P", "--proxy-type", "--proxy-auth", "--socks5", "--socks4"), _PROXY),
    "--ssl": "--tls",
    "--ssl-trustfile": "--tls-ca FILE",
    "--ssl-verify": "that is the default of --tls; --tls-ca FILE says whom to trust",
    "--cacert": "--tls-ca FILE",
    "--cert": "--tls-cert FILE",
    "--key": "--tls-key FILE",
    "-e": _EXEC,
    "-c": f"{_EXEC}; --tls speaks TLS",
    **dict.fromkeys(("-U", "--unixsock"), _UNIX),
    **dict.fromkeys(("-o", "--output"), "standard output is the answer: > FILE; --record DIR keeps both directions"),
    "--hex-dump": "--format hex; --record DIR keeps both directions",
    "-r": "ports are scanned in their order: leave it out",
    **{f"--{name}": f"--format {name}" for name in ("json", "hex", "raw", "text", "classic")},
    "-j": "--format json",
    "--debug": "--log-level debug",
}

_WATCH: Mapping[str, str] = {
    **dict.fromkeys(("-i", "--info", "-m", "--memory", "-o", "--options", "--timers", "-e", "--extended", "-W"), _WIDE),
    "-K": "--kill destroys what the filter matches",
    **dict.fromkeys(("-H", "--no-header", "-Q", "--no-queues"), "--json is made for programs, a line for each socket"),
    **dict.fromkeys(("-O", "--oneline"), "files and pipes get one line for each socket: leave it out"),
    **dict.fromkeys(("-r", "--resolve"), _NUMERIC),
    **dict.fromkeys(("-c", "--continuous", "-f", "--follow"), _LIVE),
    **dict.fromkeys(("-x", "--unix"), "TCP only: there is nothing here about unix sockets"),
    **dict.fromkeys(("-N", "--net"), "--netns NAME looks into another network namespace"),
    "--family": "-4 or -6",
    "-E": "--events prints a line for each connection that opens, changes or closes",
    **dict.fromkeys(("-j", "--format", "--output"), "--json prints an object a line for each socket"),
    "-d": "--interval DURATION",
    "--program": f"{_FILTER}portside watch 'program = nc'; -p shows the programs, and is the default",
    "--programs": "-p/--processes, which is the default",
    "--pid": f"{_FILTER}portside watch 'pid = 812'",
    "--port": f"{_FILTER}portside watch 9000",
    "--sport": f"{_FILTER}portside watch 'sport = :9000'",
    "--dport": f"{_FILTER}portside watch 'dport = :443'",
    "--state": f"{_FILTER}portside watch 'state established'",
    "--src": f"{_FILTER}portside watch 'src 10.0.0.0/8'",
    "--dst": f"{_FILTER}portside watch 'dst 10.0.0.0/8'",
    "--filter": "it is the argument: portside watch 'state established'",
}

_REC: Mapping[str, str] = {
    **dict.fromkeys(("--conn", "-n", "-c"), _DIR_CONN),
    **dict.fromkeys(("-r", "--read", "-d", "--dir"), "the recording is an argument: the folder that --record named"),
    **dict.fromkeys(("-w", "-o", "--output"), "portside rec export DIR FILE.pcapng writes a file"),
    **dict.fromkeys(("--json", "--hex", "--raw"), "--format json|hex|raw, in rec show"),
    "-x": "--format hex, in rec show",
    "--port": "--peer :PORT, in rec list",
    "--host": "--peer HOST, in rec list",
}

OPTIONS: Mapping[str, Mapping[str, str]] = {"listen": _LISTEN, "connect": _CONNECT, "watch": _WATCH, "rec": _REC}

_WAITS = "portside listen 9000"
_LOOKS = "portside watch"
_COMMANDS: Mapping[str, str] = {
    **dict.fromkeys(("-l", "--listen", "-lk", "server", "serve", "bind", "accept", "nc", "ncat", "socat"), _WAITS),
    **dict.fromkeys(("client", "telnet", "dial", "open"), "portside connect HOST:PORT"),
    **dict.fromkeys(("scan", "-z", "nmap"), "portside connect --scan HOST 20-1024"),
    **dict.fromkeys(("ss", "netstat", "lsof", "top", "ps", "sockets", "list", "show", "status"), _LOOKS),
    "kill": "portside watch --kill FILTER",
    **dict.fromkeys(("tail", "monitor", "log"), "portside watch --events"),
    **dict.fromkeys(("tcpdump", "capture", "dump", "sniff"), "portside listen 9000 --forward HOST:PORT --record DIR"),
    **dict.fromkeys(("proxy", "relay", "forward"), "portside listen 9000 --forward HOST:PORT"),
    **dict.fromkeys(("echo", "chat", "broker"), "portside listen 9000 --echo (or --chat, --broker)"),
    "-v": "portside --version",
    "version": "portside --version",
}
_REC_COMMANDS: Mapping[str, str] = {
    "ls": "portside rec list DIR",
    "info": "portside rec list DIR",
    **dict.fromkeys(("view", "print", "read", "less"), "portside rec show DIR CONN"),
    "tail": "portside rec show DIR CONN --follow",
    "dump": "portside rec cat DIR CONN has the bytes, portside rec show DIR CONN --format hex offset, hex and ASCII",
    **dict.fromkeys(("find", "grep"), "portside rec search DIR PATTERN"),
    **dict.fromkeys(("verify", "repair", "fsck"), "portside rec check DIR"),
    "compare": "portside rec diff DIR:CONN DIR:CONN",
    **dict.fromkeys(("start", "record"), "portside listen 9000 --record DIR"),
    **dict.fromkeys(("rm", "delete"), "a recording is a folder; --record-max SIZE bounds one as it grows"),
}
_RULES_COMMANDS: Mapping[str, str] = {
    **dict.fromkeys(("run", "serve", "start"), "portside listen 9000 --rules FILE"),
    **dict.fromkeys(("validate", "lint", "show"), "portside rules check FILE"),
}

_CTL_COMMANDS: Mapping[str, str] = {
    **dict.fromkeys(("ls", "list", "connections", "clients", "who"), "portside ctl conns"),
    **dict.fromkeys(("status", "info", "stats"), "portside ctl servers, and portside ctl show CONN for one client"),
    **dict.fromkeys(("kick", "kill", "drop", "reset", "disconnect"), "portside ctl close CONN, or with --reset"),
    **dict.fromkeys(("stop", "quit", "shutdown"), "portside ctl drain ends the server with its last client"),
    **dict.fromkeys(("say", "wall"), "portside ctl broadcast TEXT"),
    **dict.fromkeys(("tail", "log", "watch", "follow"), "portside ctl events"),
    **dict.fromkeys(("ban", "block"), "portside ctl deny NET"),
    **dict.fromkeys(("slow", "rate"), "portside ctl throttle CONN RATE"),
}
COMMANDS: Mapping[str, Mapping[str, str]] = {
    "": _COMMANDS,
    "rec": _REC_COMMANDS,
    "rules": _RULES_COMMANDS,
    "ctl": _CTL_COMMANDS,
}


def option_habit(command: str, flag: str) -> str | None:
    """The option of a command (``rec show``) that does what a flag of other tools does; None where none is known."""
    return OPTIONS.get(command.partition(" ")[0], {}).get(flag)


def command_habit(group: str, word: str) -> str | None:
    """The words to write in place of a word that is no command; ``group`` is empty, ``rec``, ``rules`` or ``ctl``."""
    if hint := COMMANDS.get(group, {}).get(word):
        return hint
    if not group and word.startswith("-l"):
        return _WAITS
    if not group and (word.removeprefix(":").isdigit() or ":" in word):
        return f"portside listen {word} waits there for clients, portside connect {word} connects"
    if not group and ("." in word or word == "localhost"):
        return f"portside connect {word} PORT"
    return None
