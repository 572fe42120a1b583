"""The runs that look after health every minute, and how long they are kept."""
