"""What happens around the epochs of training: pseudo masks, the record of epochs, pictures for loggers."""
