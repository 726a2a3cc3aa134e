"""Typed events that Footlights' services exchange over Kafka, and the topics that carry them.

A partner can import this package alone: it depends on pydantic and nothing else of Footlights.
"""
