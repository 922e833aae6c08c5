"""A grid of runs, one directory each, done in series, and what came out of them side by side.

`grid` says which runs there are, `running` does them, `results` reads what they measured, `figures` and
`page` show it. A study (`ulzoo.study`) is another way to say which runs there are.
"""
