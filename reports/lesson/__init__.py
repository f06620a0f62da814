"""``gradmirror lesson``: one page that shows every number of small networks, from both frameworks."""
