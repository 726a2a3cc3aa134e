"""Takes messages that are due and hands them to the mail server or SMS provider."""
