"""Reading arguments as Redis reads them, and the errors it gives when they are not as they should be."""

from __future__ import annotations

from comity.store.errors import CommandError

INTEGER_MIN = -(1 << 63)
INTEGER_MAX = (1 << 63) - 1

NOT_AN_INTEGER = b"ERR value is not an integer or out of range"
NOT_A_FLOAT = b"ERR value is not a valid float"
SYNTAX = b"ERR syntax error"
NO_SUCH_KEY = b"ERR no such key"
WRONG_DATABASE = b"ERR DB index is out of range"

_INTEGER_DIGITS = 20


def integer(text: bytes) -> int:
    """A 64-bit integer in its one canonical form: no plus sign, no leading zeros, no spaces."""
    if len(text) <= _INTEGER_DIGITS:
        try:
            number = int(text)
        except ValueError:
            pass
        else:
            if INTEGER_MIN <= number <= INTEGER_MAX and b"%d" % number == text:
                return number
    raise CommandError(NOT_AN_INTEGER)


def syntax_error() -> CommandError:
    """The options make no sense."""
    return CommandError(SYNTAX)


def expiry_error(name: bytes) -> CommandError:
    """A time to live that is not positive, or beyond what 64 bits of milliseconds hold."""
    return CommandError(b"ERR invalid expire time in '%b' command" % name.lower())


def arity_error(name: bytes) -> CommandError:
    """Too few or too many arguments."""
    return CommandError(b"ERR wrong number of arguments for '%b' command" % name.lower())
