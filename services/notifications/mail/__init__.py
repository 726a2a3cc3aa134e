"""E-mail: building a message, and handing it to an SMTP server."""

from services.notifications.mail.compose import Envelope, File, compose
from services.notifications.mail.smtp import Mailer, Server

__all__ = ["Envelope", "File", "Mailer", "Server", "compose"]
