"""Runs the rows of a client's matrix and says how each went."""

import sys
import traceback

failed = []


def check(name, call):
    """Runs `call`, which raises where the server or the client is not as it should be."""
    try:
        call()
        print(f"ok   {name}")
    except Exception as error:
        failed.append(name)
        print(f"FAIL {name}: {type(error).__name__}: {error}")
        traceback.print_exc(limit=3)


def finish():
    sys.exit(1 if failed else 0)
