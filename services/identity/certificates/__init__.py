"""What identity signs for people to keep: certificates of erasures, receipts of consents."""
