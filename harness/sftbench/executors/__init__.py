"""Where steps are done: processes of this machine."""
