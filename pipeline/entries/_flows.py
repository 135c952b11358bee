"""Flow entries: the connections of two hosts to one server port, added up. Made from the index alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from kubeshark.pipeline.dissection._matcher import Exchange, Timed
from kubeshark.pipeline.dissectors import FLOW, flow_message
from kubeshark.pipeline.entries._entry import Entry, EntryId
from kubeshark.pipeline.entries._facts import Origin, StreamFacts
from kubeshark.pipeline.reading._segments import Begins, whole_row

__all__ = ["flow_entries"]


def flow_entries(joined: Sequence[Begins], origin: Origin) -> list[Entry]:
    """Return one entry per (client, server, server port, transport) of the joined connections (`chains`).

    It is named after the first of its connections.
    """
    groups: defaultdict[int, list[StreamFacts]] = defaultdict(list)
    for begins in joined:
        for parts in map(begins.parts, begins.rows.tolist()):
            facts = StreamFacts(whole_row(parts), None, tuple(parts), origin)
            if facts.transport in FLOW:
                groups[facts.flow_id].append(facts)
    return [_entry(members) for members in groups.values()]


def _entry(members: Sequence[StreamFacts]) -> Entry:
    first = min(members, key=lambda facts: int(facts.row["first_ns"]))
    rows = np.array([facts.row for facts in members])
    event = Timed(flow_message(rows, first.flow_id), 0, int(rows["first_ns"].min()), int(rows["last_ns"].max()))
    segment, row = first.parts[0]
    every_part = tuple(part for facts in members for part in facts.parts)
    facts = StreamFacts(first.row, None, every_part, first.origin)
    return Entry(EntryId(segment.name, row, "flow"), FLOW[first.transport], Exchange(event=event), facts)
