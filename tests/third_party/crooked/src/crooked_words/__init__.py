"""A plugin whose author forgot a dependency."""

import a_package_that_nobody_has  # noqa: F401
