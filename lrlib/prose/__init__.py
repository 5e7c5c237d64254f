"""The book's sentences, one module a page: ``claim()`` from the paper's tables, ``findings(record)`` from our rows.

They stand apart from the measurements, so that a better sentence doesn't make a record look out of date.
"""
