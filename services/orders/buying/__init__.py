"""What buyers do, and what is entered for them: checkout, quotes, contacts, wishes."""
