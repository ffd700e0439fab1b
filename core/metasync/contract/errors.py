"""Errors that cross the border. Each one's docstring is its default message; none ever holds a secret.

Raise them with one sentence that says what happened, to which object, and what to do next.
"""

from __future__ import annotations


class MetasyncError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class OptionsError(MetasyncError):
    """The options of a connector are not usable together; correct the document."""


class Unavailable(MetasyncError):
    """The directory cannot be reached or used now; check host, port, certificate, sign-in and rights, then run again."""


class SignInRefused(Unavailable):
    """The directory refused the sign-in; check the account's name, its password and whether it is locked."""


class NotTrusted(Unavailable):
    """The directory's certificate is not trusted; name the authority that issued it in the option for it."""


class RightMissing(Unavailable):
    """The account lacks a right in the directory; grant it, or leave out what needs it."""


class ImportIncomplete(MetasyncError):
    """The directory stopped before everything was read; nothing was deleted. Run the import again."""


class CursorExpired(MetasyncError):
    """The directory no longer knows where the last import ended; a full import follows."""


class SourceEmpty(ImportIncomplete):
    """The source is empty or missing, which looks as if everybody had left; it was held and nothing was deleted."""


class SecretMissing(MetasyncError):
    """A secret that the document refers to is not set; set it with `metasync secrets set NAME`."""


class Stopped(MetasyncError):
    """The run was asked to stop."""
