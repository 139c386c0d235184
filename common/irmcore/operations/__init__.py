"""What an operator can see and do: status, resolve, requeue, resume, audit, and connection checks."""
