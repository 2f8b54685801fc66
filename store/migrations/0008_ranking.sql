-- The order in which candidates are shown, decided on and accepted (store/ranking.py), with the columns that say which
-- of them wait for a decision: a queue of 100,000 candidates is read from this index alone, without a sort.
CREATE INDEX candidates_by_rank ON candidates (
    round(reward_mean * 1e9) DESC, round(audit_gain * 1e9) DESC, reward_std IS NULL, round(reward_std * 1e9),
    round_number, position, id, imported, state
);
