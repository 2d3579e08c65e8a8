"""Plateau, saddle shape or valley: what diagnostics are evidence for, in words."""

from typing import Any

SURE = 2.36
"""Errors that a curvature must be away from 0 to have a sign: Student's t, 95 %, of the
eight parts of 64 pictures that `diagnostics` takes it from."""
STEEP = 10.0
"""Times the one is of the other in a valley."""


def describe_surface(line: dict[str, Any]) -> str:
    """Return what the loss looks like around an evaluation, "" without diagnostics.

    Saddle-shaped needs a smallest eigenvalue of the Hessian that is negative beyond its
    error; curvatures along two directions alone are no proof of it. It is no claim that
    the gradient is 0 there.
    """
    if "hessian_smallest" in line:
        return _by_hessian(line)
    known = [
        f"{_sign(line, name)} along the {name}"
        for name in ("gradient", "update")
        if line.get(f"curvature_{name}") is not None
    ]
    return f"the loss is {' and '.join(known)}" if known else ""


def _sign(line: dict[str, Any], name: str) -> str:
    value = line[f"curvature_{name}"]
    error = line[f"curvature_{name}_error"]
    if error is None or abs(value) <= SURE * error:
        return "flat as far as can be told"
    return "curved upwards" if value > 0 else "curved downwards"


def _by_hessian(line: dict[str, Any]) -> str:
    low, low_error = line["hessian_smallest"], line["hessian_smallest_error"]
    high, high_error = line["hessian_largest"], line["hessian_largest_error"]
    ends = ((low, low_error), (high, high_error))
    words = [f"{value:.3g} (+- {error:.1g})" for value, error in ends]
    values = f"eigenvalues {' to '.join(words)}"
    if low < -low_error:
        return f"saddle-shaped: {values}"
    if high <= high_error:
        return f"a plateau, flat every way as far as can be told: {values}"
    if high > STEEP * max(abs(low), low_error):
        return f"a valley, steep in some ways and flat in others: {values}"
    return f"curved upwards: {values}"
