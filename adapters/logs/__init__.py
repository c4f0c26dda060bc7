"""Recorded calls: what tools write down of the calls of an application, read into one form."""
