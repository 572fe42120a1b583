"""The rollout as it runs: reading what the decision needs, carrying out what was decided, the sensor and the job."""
