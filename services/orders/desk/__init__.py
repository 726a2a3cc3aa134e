"""The back office: the table of orders, cards, exports, and what staff do."""
