"""What people read: tables, JSON, ages, task names, and the progress of a service.

Pure but for `progress`, which draws. Times are arguments. Tables are plain text with columns three spaces
apart and never cut to a terminal's width, so that `awk` and `grep` see what people see.
"""
