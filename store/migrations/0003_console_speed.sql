-- What the console reads of many candidates at once, without the texts that lie beside it: figures of each round
-- over the self-edits that its E-step sampled, and the best reward of each task.
DROP INDEX candidates_rewards;
CREATE INDEX candidates_of_e_step ON candidates (round_number, reward_mean, state, task_id)
    WHERE role = 'train' AND derived_from IS NULL;
CREATE INDEX candidates_of_task_by_reward ON candidates (task_id, reward_mean);
