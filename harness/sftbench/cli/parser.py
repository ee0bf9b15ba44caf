"""Reading flags: a mistyped one is refused with the nearest that exists."""

from __future__ import annotations

import argparse
import difflib
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviations and says what was probably meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})
        self._given: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As the standard parser does, which calls this for every reading."""
        self._given = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """End with exit code 2. A flag that is missing is often there and mistyped, so hints are given for both."""
        known = [flag for action in self._actions for flag in action.option_strings]
        strange = [each.partition("=")[0] for each in self._given if each.startswith("--")]
        near = {each: difflib.get_close_matches(each, known, n=1) for each in strange if each not in known}
        hints = [f"{given}: did you mean '{found[0]}'?" for given, found in near.items() if found]
        super().error("; ".join([message, *hints]))
