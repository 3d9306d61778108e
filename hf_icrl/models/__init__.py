"""Sequence models."""


def register_auto_classes():
    pass
