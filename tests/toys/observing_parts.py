"""A plugin that observes steps and cannot take a failed one."""

from sftbench import hookimpl


@hookimpl
def sftbench_step_ended(record):
    assert record["failure"] is None
