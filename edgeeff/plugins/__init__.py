"""What is found by its name: modules of a folder of ours, and what other distributions add to them.

A distribution adds things through entry points of the groups ``edgeeff.<kind>``. Ours and theirs come through
one finder, so that nothing else knows which is which. Nothing of a plug-in is imported before it is needed.
What cannot be used (its import fails, it is not what the kind asks for, its name is taken) is disabled with
its reason: see :class:`Trouble`; the program and everything else go on.
"""

from edgeeff.plugins.files import Files as Files
from edgeeff.plugins.finder import Finder as Finder
from edgeeff.plugins.guarding import Guarded as Guarded
from edgeeff.plugins.guarding import function as function
from edgeeff.plugins.guarding import guarded as guarded
from edgeeff.plugins.installed import Plugin as Plugin
from edgeeff.plugins.installed import Trouble as Trouble
from edgeeff.plugins.installed import blamed as blamed
from edgeeff.plugins.installed import not_installed as not_installed
