"""The rules of a rollout: what sends traffic back, what keeps it where it is, what sends it forward."""
