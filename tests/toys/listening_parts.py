"""A plugin that observes steps and does nothing else."""

from sftbench import hookimpl


@hookimpl
def sftbench_step_ended(record):
    assert record["key"]
