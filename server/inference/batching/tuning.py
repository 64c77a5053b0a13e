"""The numbers that batching was tuned with: for each its unit, its reason, and the command that shows what it does.

They are no settings: none depends on the models or on who asks them, and a wrong one costs speed, never an answer.
What an operator bounds (`--max_queue`, `--request_timeout`, `--max_batch_rows`, a model's `lanes`) is in `Limits`.
All commands take `--help`; their systems are measured in turn, on the same models, in one run (bench/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """Tests give their own to what they try."""

    # calls on the event loop (policy.InlinePolicy)

    #: Seconds of processor time that a call on the event loop may take: every other connection waits so much longer.
    #: To hand a call to a thread and its answer back takes longer than the arithmetic of most small models.
    #: `python -m bench --only logistic,forest,xgboost,lightgbm,onnx`; its price: `python -m bench.neighbours`
    inline_seconds: float = 0.0005
    #: Calls in a row, so short, before the next one of their size runs there: the first are those of a cold model.
    #: `python -m bench --only logistic --connections 1`
    inline_proof_calls: int = 8
    #: Sizes that are told apart, as the bits of a call's number of rows: 64 bits hold every length of an array.
    #: No command: a bound of the type, not of the speed.
    inline_sizes: int = 64

    # calls beside each other (adaptive.ConcurrencyLimit)

    #: Calls of one model at the same time, at most, and never more than there are cores; an operator's `lanes` stand in
    #: its place. Four was chosen, on a machine of two: to be measured on one with more.
    #: `python -m bench --only lightgbm,xgboost,onnx,bert --connections 64 --rows 32`
    max_concurrency: int = 4
    #: Calls, and seconds, that are measured before a decision: fewer are noise, more let a burst pass unused.
    #: The same command.
    concurrency_window_calls: int = 8
    concurrency_window_seconds: float = 0.25
    #: Seconds that a call must take for a second one beside it to be worth a try: shorter ones got slower on two
    #: threads (0.5 to 0.9 of the throughput), as the interpreter's lock changes hands too often.
    #: The same command with `--rows 1`.
    concurrency_call_seconds: float = 0.001
    #: By which rows per second must rise for one call more at a time to stay: models that hold the interpreter gain
    #: nothing, the others 1.9 a core; 1.2 is beyond the noise of a window, and well under what a gain is.
    #: `python -m bench --only lightgbm,spacy --connections 64 --rows 32`
    concurrency_gain: float = 1.2
    #: Seconds until what was refused is tried again, doubled with every refusal up to the limit: a trial slows a
    #: model down that is busy, and yet what it is asked for changes.
    #: The same command, for `--seconds 20`.
    concurrency_retry_seconds: float = 5.0
    concurrency_retry_limit_seconds: float = 300.0

    # calls that wait for what is on its way (adaptive.CallCost, adaptive.Coalescing)

    #: Seconds of a call's fixed part from which it waits for more: an empty turn of the event loop takes 10 µs, and
    #: who was answered together comes back within a millisecond. spaCy and BERT spent 1.2 to 2 times as much processor
    #: time on a request without it.
    #: `python -m bench --only spacy,bert --connections 32,64`
    coalesce_seconds: float = 0.001
    #: What is left of a call's weight in the line through the latest calls when the next one is seen: some fifty count.
    #: The same command.
    cost_decay: float = 0.98
    #: Standard deviation of the calls' rows, over their mean, from which the line's slope says something: under it
    #: all calls are alike, and a division by almost nothing would invent one. The same command.
    cost_min_spread: float = 0.1

    # calls elsewhere (policy.ExecutionPolicy, executor)

    #: Bytes of inputs that the event loop itself passes on to a worker process: an idle worker's socket takes several
    #: times as much, so that the loop never waits. `WorkerPool.begin` takes no more either. Without it, threads took
    #: the interpreter from the loop, and a worker kept 0.6 to 0.7 of the throughput of a small model.
    #: `python -m bench.isolation`
    remote_bytes: int = 32 * 1024
    #: Rows of a request from which its parts, one an idle core, are faster together than the whole.
    #: `python -m bench.spread`
    split_rows: int = 1000
    #: Threads for predictions, of all models together; they start when needed. Far above the cores, as a thread that
    #: waits for a worker process needs none; a bound all the same. Chosen, no command shows it.
    predict_threads: int = 64

    # models beside each other (policy.Traffic, fairness)

    #: Seconds without another model's request after which a model counts as alone, and may keep the event loop for as
    #: long as it likes, which is the fastest. Long enough for a neighbour that is asked every second.
    #: `python -m bench.neighbours`
    alone_seconds: float = 1.0
    #: Requests of a model that wait when one more comes, at most, and for how many in a row, until it counts as asked
    #: only a little: its callers wait for nothing but the others. Two flooded models gain nothing by short turns, and
    #: lost up to half of their throughput by them; sixteen in a row are no pause of a flood.
    #: `python -m bench.neighbours --connections 1,64`
    little_waiting: int = 4
    little_streak: int = 16
    #: Answers that a model writes in one turn of the event loop, some 20 µs each, beside others. 64 in one turn are a
    #: millisecond: a neighbour's p50 fell by a third, its p99 by half.
    #: `python -m bench.neighbours`
    answers_a_turn: int = 8
    #: The same beside one that is asked only a little. The same command.
    answers_a_turn_beside_little: int = 2
    #: Bytes of bodies of one model that are decoded in a turn beside one that is asked only a little; a body that
    #: reaches beyond them is the turn's last. Some 50 µs of parsing. The same command, with `--rows 32`.
    decoded_bytes_a_turn: int = 2 * 1024


#: what the server runs with
TUNING = Tuning()
