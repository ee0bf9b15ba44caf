"""A plugin that imports at once what only working needs."""

import sklearn  # noqa: F401
