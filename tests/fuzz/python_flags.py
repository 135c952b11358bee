"""Prints what a C program needs to be built with this Python in it."""

from __future__ import annotations

from sysconfig import get_config_var as said
from sysconfig import get_path

folder = f"-L{said('LIBDIR')}"
libraries = f"-lpython{said('LDVERSION')} {said('LIBS')} {said('SYSLIBS')}"
print(f"-I{get_path('include')} {folder} -Wl,-rpath,{said('LIBDIR')} {said('LINKFORSHARED')} {libraries}")
