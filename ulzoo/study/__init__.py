"""A study: a base spec, variants of it, seeds, and claims that the runs agree with or not.

`model` is the file, `claims` the verdicts, `markdown` the page. The runs are a sweep's (`ulzoo.sweep`).
"""
