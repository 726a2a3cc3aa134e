"""Mistakes that nobody made yet: one at a time in a copy of the tree, to see whether the tests near it notice.

cosmic-ray makes most of them; `operators` adds those that reviewers fear. Run by `make mutants`.
"""
