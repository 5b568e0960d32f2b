"""Certificates: each piece of the core is measured against something exact, and says how far it may be from it."""

from ptdiff.certify.certificate import Certificate

__all__ = ["Certificate"]
