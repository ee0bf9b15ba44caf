"""Scores from verdicts: win rates, length control as AlpacaEval 2 does it, style control as Arena-Hard does it.

`verdicts` reads the file, `counting` says which verdicts enter, `win_rate`, `length_control` and `style_control` are
the three metrics, and `score` is the way in.
"""
