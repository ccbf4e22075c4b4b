"""What training and evaluation share: files, batches, inference, models, trials."""
