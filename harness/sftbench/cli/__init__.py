"""The command line: `bench VERB`. Each verb is one file, imported only when it is used."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from sftbench.cli.parser import Parser
from sftbench.errors import SftbenchError

VERBS = {
    "run": "compare methods: choose, train, evaluate, and print the leaderboard",
    "plan": "show what a run would do, what the store already has, and how long the rest takes",
    "list": "list what the installed plugins offer",
    "show": "show one method or part: what it does, its parameters, modes, fidelity and deviations",
    "select": "choose rows of a pool by a method and write them to a file",
    "score": "score the rows of a pool and write a table",
    "check": "look for evaluation items in a pool before it is used",
    "describe": "measure how diverse the rows of a pool or a selection are, by every metric",
    "study": "run a grid of methods and draw what its records say: slopes, correlations, sweeps, ablations",
    "compare": "show what two selections have in common, and in what they differ",
    "board": "print the leaderboard of a run, build its site, serve one, or merge those of several people",
    "publish": "make a bundle of a run that others can check: a folder, GitHub Pages, the Hugging Face hub",
    "verify": "check a bundle: hashes, every number of its board, and rows or judgements made again",
    "judge": "judge two files of answers, or compute win rates, with control of length or style, from verdicts",
    "plugins": "start a plugin of one's own, or check one against the rules",
    "doctor": "look at this machine and installation, and say what is missing",
    "cache": "show or empty the store of step outputs",
}
ACTIONS = {("board", "merge"): "board_merge"}
"""Second words that make a verb another one, in a file of its own."""
EXIT_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns the exit code. A user's mistake prints a message, everything else a traceback."""
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    verb = next((each for each in given if not each.startswith("-")), None)
    if verb in VERBS and given[0] == verb:
        action = ACTIONS.get((verb, given[1])) if len(given) > 1 else None
        module = import_module(f"sftbench.cli.{action or f'{verb}_verb'}")
        parser = Parser(prog=f"bench {(action or verb).replace('_', ' ')}", description=module.__doc__)
        module.add_arguments(parser)
        spelled_out = getattr(module, "spelled_out", list)
        options = parser.parse_args(spelled_out(given[2:] if action else given[1:]))
        return _guarded(module.run, options)
    if verb is not None and given[0] == verb:
        import difflib

        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        print(f"bench: unknown command '{verb}'{hint}", file=sys.stderr)
        return 2
    options = parser.parse_args(given)
    parser.print_help()
    return 0


def _guarded(run: object, options: argparse.Namespace) -> int:
    assert callable(run)
    try:
        code = run(options)
        sys.stdout.flush()
    except SftbenchError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("bench: interrupted; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (BrokenPipeError, SystemExit) as ended:
        # The reader of our output went away (`| head`); Python would complain again at exit. rich makes it an exit.
        if isinstance(ended, SystemExit) and not isinstance(ended.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return int(code)


def _parser() -> argparse.ArgumentParser:
    import sftbench

    verbs = "\n".join(f"  {name:<9}{about}" for name, about in VERBS.items())
    parser = Parser(
        prog="bench",
        description="Which way of choosing fine-tuning data is really better, and what does the choosing cost?",
        epilog=f"commands:\n{verbs}\n\n'bench COMMAND --help' tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="bench COMMAND [OPTIONS]",
    )
    parser.add_argument("--version", action="version", version=f"sftbench {sftbench.__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
