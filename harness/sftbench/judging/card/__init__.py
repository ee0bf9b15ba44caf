"""The reliability card of a judge: what it was asked whose answer is known, what it said, and what follows for users.

`material` holds the pairs, each probe module asks with some of them and reads the verdicts, `card` is the result,
`words` says in sentences what it means, and `check` is the way in.
"""
