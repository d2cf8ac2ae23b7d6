"""The keys of the console."""

HELP = """\
The connections of a running server. What the server does with them is done here as with `portside ctl`.

Everywhere
  ?            this help
  Escape       back                    q            back; from the list: quit
  Ctrl-C       quit                    Ctrl-Z       stop; `fg` goes on

In a list
  Up Down PageUp PageDown Home End     select
  Enter        everything about a connection: what is said on it, and what the kernel knows
  /            filter, as in `portside watch`, with the columns of connections:
                 peer 10.0.0.0/8   idle > 10s   received > 1M   recvq > 0   note = slow*
  o            open, closed, all       < > r 1 … 9  sort by another column, the other way round
  e            what happens            m            the sockets of the machine, as in `watch`

On a connection, in the list and on its screen
  p            read no more from the client, or read again
  t            limit both directions to a rate, such as 10k/s; `off` ends it
  f            a fault, such as `latency 200ms`; `off` takes all out, `off 2` number 2
  n            a note                  c            close, in order or our direction alone
  k            reset: asks first

On the screen of a connection
  Enter        type what is sent; Tab: a line, text without a line feed, or hexadecimal digits
               \\n \\r \\t \\0 \\xHH and \\\\ are understood; Up and Down bring back what was sent
  x            text, hex, both         / < >        search, and go to the place before or after
  Up PageUp    stay there; End follows what comes
  Left Right   back in time, and on    z            1, 5 or 15 minutes
  v            hide the kernel's facts, or show them

`>` came from the client, `<` went to it. Payload is shown escaped. Times are UTC.
"""
