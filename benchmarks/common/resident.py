"""How much of this process lies in memory, as Linux counts it.

``VmRSS`` is all of it; ``RssAnon`` is the process's own, without the pages of files that it has
mapped, which the kernel keeps for as long as nobody needs the room. The counter of ``getrusage``
will not do: a process begins with the peak of the one that started it.
"""


def resident(field: str = "VmRSS") -> float:
    """Megabytes, of 10⁶ bytes.

    Raises
    ------
    SystemExit
        Where there is no ``/proc``.
    """
    try:
        with open("/proc/self/status") as status:
            kilobytes = next(line.split()[1] for line in status if line.startswith(field + ":"))
    except OSError:
        raise SystemExit("resident memory is read from /proc, which only Linux has") from None
    return int(kilobytes) * 1024 / 1e6
