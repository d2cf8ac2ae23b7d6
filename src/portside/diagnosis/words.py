"""Numbers as the sentences of findings have them."""

from portside.units import counted

__all__ = ["amount", "counted", "duration", "percent", "rate"]


def duration(seconds: float) -> str:
    """``0.4s``, ``12s``, ``3m12s``, ``2h05m``, ``3d04h``."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole // 60 % 60:02d}m"
    return f"{whole // 86400}d{whole // 3600 % 24:02d}h"


def percent(share: float) -> str:
    """``0.4 %``, ``12 %``."""
    value = share * 100
    return f"{value:.1f} %" if value < 10 else f"{value:.0f} %"


def amount(size_bytes: float) -> str:
    """``512 B``, ``1.5 KiB``, ``20 MiB``."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def rate(count: float, seconds: float) -> float:
    """Events a second, to one decimal place; 0 where no time has passed."""
    return round(count / seconds, 1) if seconds > 0 else 0.0
