"""The commands of p11conform, one file each; each file's `command` is what the command line runs."""
