"""Orders: every order from the first interest to the refund, its payments, and the ledger of its money."""
