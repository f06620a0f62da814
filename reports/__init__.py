"""The two sides beside each other, for people: gradients, accuracy and time, in one page and in tables.

``python -m reports`` makes the report, ``gradmirror --help`` tells the rest.
"""
