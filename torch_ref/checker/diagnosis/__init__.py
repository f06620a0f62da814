"""From a wrong gradient to the mistake that made it, if that can be proved.

A cause is named only if it has been confirmed, in one of two ways. Either it was reproduced: the mistake,
made in our own module of the same kind and on the same numbers (faults), gives to the last digits the very
gradient that is wrong. Or the wrong gradient was corrected, by a factor, by a term or by putting its entries
in other places, and then equals the numeric derivative. Any other is called unknown, and described by the
pattern of its wrong entries.

* causes.py: the order in which all is tried
* family.py, templates/, bound.py: the formula of ours that gives this forward, found from the numbers alone
* reproduced.py: the mistakes made in it
* forward.py: by what the two forwards differ
* incoming.py: another incoming gradient: is it used, and is the gradient linear in it?
* corrected.py, factors.py, terms.py: corrections of one gradient
* pattern.py: which entries are wrong
"""

from torch_ref.checker.diagnosis.cause import TOLERANCES, UNKNOWN, Cause, is_output
from torch_ref.checker.diagnosis.causes import diagnose
from torch_ref.checker.diagnosis.family import Family, find_families, formulas_named

__all__ = [
    "TOLERANCES",
    "UNKNOWN",
    "Cause",
    "Family",
    "diagnose",
    "find_families",
    "formulas_named",
    "is_output",
]
