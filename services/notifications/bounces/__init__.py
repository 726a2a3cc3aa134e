"""Mails that came back: reads the reports of other mail servers, and keeps which addresses take no mail."""
