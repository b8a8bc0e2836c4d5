"""Figures as a reader likes them: three digits and a unit."""


def amount(number: float) -> str:
    """``730 M`` for 730,215,168: three digits and k, M, G or T."""
    for unit in ("", " k", " M", " G"):
        if abs(number) < 999.5:
            return f"{number:.3g}{unit}" if unit else f"{number:.0f}"
        number /= 1000
    return f"{number:,.3g} T" if number < 1000 else f"{number:,.0f} T"


def megabytes(count: int) -> str:
    """Bytes in MB of a million bytes, to three digits."""
    return f"{count / 1e6:,.3g} MB" if count < 1e9 else f"{count / 1e6:,.0f} MB"


def share(part: float) -> str:
    """A fraction as per cent; what is there but very small shows as such, and nothing as a dash."""
    if part == 0:
        return "–"
    return f"{part:.1%}" if part >= 0.0005 else "<0.1%"


def shape(sizes: tuple[int, ...]) -> str:
    """``65 × 192``."""
    return " × ".join(map(str, sizes))
