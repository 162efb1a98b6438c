"""From images to masks with a trained network."""
