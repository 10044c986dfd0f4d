"""The waist: per client one bounded vector of integers, summed. No noise, no cost, no place yet.

Enters: works (what a client computes), encoders with their bound, sensitivity and estimator, rounds and queries.
Stays out: trust models, fleets, ledgers, statistics.
"""
