"""The minGRU over a whole sequence: one layer, one direction."""

from grukit.ops.mingru.native import native
from grukit.ops.mingru.reference import MINGRU
from grukit.ops.mingru.scan import scan
from grukit.ops.recurrence import Recurrence

mingru = Recurrence(MINGRU, (native(MINGRU), scan(MINGRU)))
