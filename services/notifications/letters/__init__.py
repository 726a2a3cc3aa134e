"""The words of every message, in the languages of the platform (en, uk, pl, ru), as plain text, HTML and SMS."""

from services.notifications.letters.render import LANGUAGES, Letter, Setting, Template, short_text, write

__all__ = ["LANGUAGES", "Letter", "Setting", "Template", "short_text", "write"]
