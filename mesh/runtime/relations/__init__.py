"""Relations of people in every service that filters by them: a copy, and what it may answer.

Identity decides; its events come over the bus. Who sees whose things is asked of `replica`,
with no call to anybody, one thing or a list of them alike. Where the copy is behind, or may
be, the answer is no.
"""
