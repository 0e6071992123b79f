"""The send API on the wire: what each route's fields are and must be, and what it answers.

`rules.py` is the language, `v1.py` to `preview.py` are the tables written in it; `body.py` reads
bytes by a table, `answers.py` writes what was accepted.
"""
