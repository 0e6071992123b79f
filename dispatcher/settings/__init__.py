"""The settings of the dispatcher, its sandbox and its reconcile."""
