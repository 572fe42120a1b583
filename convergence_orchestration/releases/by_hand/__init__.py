"""What people do to releases by hand: signatures and load tests."""
