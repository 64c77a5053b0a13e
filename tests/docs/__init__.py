"""Documents that run: every command of README.md and docs/, and every answer that they show, tried by a reader.

`pages` reads a page, `comparing` says whether an answer is the one that is shown, `session` types what the page says,
`marks` checks what cannot be run here. `python -m tests.docs.write PAGE` puts in the answers that really come, and
`python -m tests.docs.generate` writes the pages that are made from the code (`make docs`).
"""
