"""Seconds as Go writes a duration, for lines that are known from CoreDNS. Knows nothing else."""

_SMALL = ((1e-3, "ms"), (1e-6, "\u00b5s"), (1e-9, "ns"))


def written(seconds: float) -> str:
    """Write a duration: ``500ms``, ``30s``, ``5m0s``, ``1h0m0.5s``."""
    if 0 < seconds < 1:
        size, unit = next((each for each in _SMALL if seconds >= each[0]), _SMALL[-1])
        return f"{seconds / size:.9g}{unit}"
    minutes, rest = divmod(round(seconds, 9), 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
