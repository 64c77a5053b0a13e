"""Side-by-side measurements: the same models, one load generator, one table of ratios (`make bench`, README.md).

plan.py       what is measured: model x protocol x connections x rows, and by which systems
models.py     the models, made on the spot; frameworks.py: each framework called directly
systems.py    how each system is started; process.py: started, watched, stopped
requests.py   a request's bytes; check.py: is this the right answer
load.py       wrk and h2load, and what they print
measure.py    every system in turn, round after round
claims.py     what was promised; report.py: the tables
"""
