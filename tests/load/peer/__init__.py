"""What people would write instead: the same endpoints on FastAPI, over rows of the same content.

Two forms. `tuned`: uvloop, httptools, orjson, prepared psycopg 3, no model of what goes
out. `orm`: SQLAlchemy's AsyncSession and pydantic's response models, as tutorials have it.
Both verify the same tokens by the same keys and keep those that are verified.

What neither has: limits, retries, deadlines, checks of the contract, traces, metrics,
events, several services, gRPC. Its answers equal Palestra's; `tests.load.peers` checks that
before it measures.
"""
