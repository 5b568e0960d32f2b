"""Certificates: each part of the core is measured against an exact reference, within a declared tolerance."""

from ptdiff.certify.certificate import Certificate

__all__ = ["Certificate"]
