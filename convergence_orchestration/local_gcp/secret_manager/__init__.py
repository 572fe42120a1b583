"""Secret Manager: secrets, their versions and payloads, aliases, and who may read them.

What belongs here: what the service's documentation promises for global secrets (`projects/*/secrets/*`). Topics and rotation
are stored and not acted on (the real service only sends notifications). Regional and managed secrets are refused.
"""
