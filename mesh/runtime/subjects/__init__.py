"""What a service keeps of a person: given out whole, and erased.

A service declares its subjects (`Service.subjects`), each with the tables that it covers;
`palestra.<service>.v1.DataSubjectService` is then served from them. Owns the form of what is
given out, the bounds of each step, and the memory of who was erased. Never decides that
somebody is: identity does.
"""

from mesh.runtime.subjects.files import Files
from mesh.runtime.subjects.rows import Rows
from mesh.runtime.subjects.subject import Piece, Reach, Subject
from mesh.runtime.subjects.whole import Erased, Subjects

__all__ = ["Erased", "Files", "Piece", "Reach", "Rows", "Subject", "Subjects"]
