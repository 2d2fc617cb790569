"""What hosts are asked."""
