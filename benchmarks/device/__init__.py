"""How fast the project is on an accelerator, in one command: `launch/device_checks.sh`.

`driver` runs the parts of `parts.PARTS` in processes of their own (`worker`), each within its own
time limit, and writes a line of JSON for each as soon as it is known (`lines`); `table` prints the
lines as Markdown.
"""
