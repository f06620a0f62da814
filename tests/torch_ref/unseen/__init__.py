"""Backward passes written by hand without a look at the checker, half of them with a mistake.

`prove.all_cases()` gives them all; a file for each theme has its own in `CASES`. `mine()` makes the object,
`call` says how a user would hand it over. Copy the inputs first: some code changes them, its very mistake.
That each is what it says, torch's autograd confirms: `python -m unseen.prove` in the folder above.
"""
