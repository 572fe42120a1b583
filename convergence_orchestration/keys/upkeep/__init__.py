"""What is done about sealed copies by themselves: wiping what nobody may fetch any more, sealing anew under a new KMS version."""
