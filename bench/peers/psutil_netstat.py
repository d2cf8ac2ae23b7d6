# psutil's own scripts/netstat.py, which people copy, for TCP alone.
# mypy: ignore-errors
# ruff: noqa
# fmt: off
import psutil


def main():
    templ = "{:<5} {:<30} {:<30} {:<13} {:<6} {}"
    header = templ.format("Proto", "Local address", "Remote address", "Status", "PID", "Program name")
    print(header)
    proc_names = {p.info["pid"]: p.info["name"] for p in psutil.process_iter(["pid", "name"])}
    for c in psutil.net_connections(kind="tcp"):
        laddr = "{}:{}".format(*c.laddr)
        raddr = ""
        if c.raddr:
            raddr = "{}:{}".format(*c.raddr)
        name = proc_names.get(c.pid, "?") or ""
        line = templ.format("tcp" if c.family == 2 else "tcp6", laddr, raddr or "-", c.status, c.pid or "-", name[:15])
        print(line)


if __name__ == "__main__":
    main()
