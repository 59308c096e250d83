"""Identity as an OAuth 2.1 authorisation server: codes, grants, tokens for apps of others."""
