"""Who people are: accounts, sign-in, tokens and their keys, profiles."""
