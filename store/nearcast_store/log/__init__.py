"""The event log between gateways and keepers."""
