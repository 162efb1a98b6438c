"""Pictures of masks and maps."""
