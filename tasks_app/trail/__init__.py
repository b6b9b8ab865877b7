"""The trail as evidence: signed checkpoints, their verification, and the export for auditors (docs/audit.md)."""
