"""The command line: a file a command, or a few that belong together.

Such a file adds its commands with their flags to the parser, and has the functions that run them.
The work itself is done in the layers below, which are imported when a command runs: ``npvae
--help`` does not even load NumPy.

Exit codes: 0 done; 1 a one-line error that says what to do; 2 usage; 130 interrupted,
143 by SIGTERM and 129 by SIGHUP.
"""
import io
import os
import sys
import warnings
from collections.abc import Sequence

from npvae.cli.parser import parser
from npvae.cli.terminal import say
from npvae.errors import NpvaeError
from npvae.interrupts import exit_code, terminable


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every log file can hold a "−"
    warnings.showwarning = lambda message, *rest: say(
        f"npvae: warning: {' '.join(str(message).split())}", file=sys.stderr
    )
    arguments = parser().parse_args(argv)
    try:
        with terminable():
            return arguments.run(arguments) or 0
    except NpvaeError as error:
        return print_error(error)
    except MemoryError as error:
        return print_error(f"not enough memory: {error}; try a smaller --batch-size or --hidden")
    except BrokenPipeError:  # `npvae ... | head`: nobody reads on, which is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return print_error(f"{error.filename or 'system'}: {error.strerror or error}")
    except KeyboardInterrupt as interrupt:
        print("npvae: interrupted", file=sys.stderr)
        return exit_code(interrupt)


def print_error(what: object) -> int:
    """Print one line to stderr; the exit code of an error."""
    say(f"npvae: error: {' '.join(str(what).split())}", file=sys.stderr)
    return 1
