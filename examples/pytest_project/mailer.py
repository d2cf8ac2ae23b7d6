"""The program under test: it hands a mail to a server, and tries again where the network fails."""

import smtplib
import time


def send(port: int, recipient: str, text: str, *, host: str = "127.0.0.1", tries: int = 1, pause: float = 0.0) -> None:
    """Send a mail. Raises SMTPException where the server refuses it, and OSError where no try has succeeded."""
    for left in reversed(range(tries)):
        try:
            with smtplib.SMTP(host, port, local_hostname="me", timeout=10) as client:
                client.sendmail("me@example", [recipient], f"Subject: hello\r\n\r\n{text}\r\n")
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):
            raise  # the server's own word
        except OSError:
            if not left:
                raise
            time.sleep(pause)
        else:
            return
