"""What the names in a function mean while it is traced; nothing changes for anyone else."""
