"""What is published: the dataset as files, bundles for the hub, their cards."""
