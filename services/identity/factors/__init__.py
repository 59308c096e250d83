"""Second factors: authenticator apps, recovery codes, passkeys; what they prove at sign-in."""
