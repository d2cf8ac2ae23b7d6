"""The keys of the console, on a page that fits 80 columns and 24 lines."""

HELP = """\
Up Down PageUp PageDown Home End  select     Enter  open it     Escape q  back
/          filter, as in `watch`: peer 10.0.0.0/8  idle > 10s  recvq > 0
o          open, closed, all          < > r 1 … 9  sort by another column
e          what happens               m            the sockets of the machine
d          findings: what is wrong    !! ! ·       critical, warning, info

On a connection, in the list and on its screen
p          read no more, read again   t            limit to a rate: 10k/s, off
f          fault: latency 200ms       n            note
           off: all, off 2: number 2  c            close: asks how
k          reset: asks first

On the screen of a connection
Enter      answer: \\n \\r \\t \\0 \\xHH \\\\ are understood; Up Down: what was sent
           Tab: a line, text without a line feed, hexadecimal digits
x          text, hex, both            / < >        search, place before, after
Up PageUp  stay there                 End          follow what comes
Left Right back in time, and on       z            1, 5 or 15 minutes
v          hide or show what the kernel knows

`>` came from the client, `<` went to it; payload is escaped, times are UTC.
? this page   q Ctrl-C quit   Ctrl-Z stop, `fg` goes on"""

FLEET_HELP = """\
Up Down PageUp PageDown Home End  select     Escape q  back
/          filter, as in `watch`, and by node and site:
           node = web*  recvq > 0  program = nginx  state close-wait
< > r 1 … 9  sort by another column
n          the machines                      e   what happens
d          findings: what is wrong, and on which machines

The first screen has the connections that are open, as far as agents tell of
them: those with bytes in their queues first. Nothing here acts on a machine.

? this page   q Ctrl-C quit   Ctrl-Z stop, `fg` goes on"""
