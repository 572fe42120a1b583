"""The audit log: who did what to what, in chains of rows by which a removed or changed one is found."""
