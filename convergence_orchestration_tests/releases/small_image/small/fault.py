"""What is wrong with this image; "" for nothing. `small_tree` of cloud.py writes another one."""

FAULT = ""
