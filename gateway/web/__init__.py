"""The edge's own process: pages, WebSockets and whatever else no method of the contract serves.

Owns one HTTP/1.1 server on a unix socket behind the edge, what each request must show
(the mesh's proof) and how it is refused. Other packages mount their routes in `app`.
Never reached but through the edge; never verifies a token itself: the edge and the
services do.
"""
