"""Keys: their format, the sealed copy, the ledger of what happened to them, and the index that verifies them."""
