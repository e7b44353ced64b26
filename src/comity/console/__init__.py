"""What people type: the `comity` command and its sub-commands."""
