"""How people steer a rollout: what they may do at any moment, and the events that it becomes."""
