"""The commands of gradmirror, one file each."""
