"""The façade: one store, its plugins, and what one does with them.

Each method imports what it needs: an import or an export by addresses loads neither dissectors nor plugins, which take
a third of a second.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self, TypeVar, Unpack, cast

from kubeshark.core_capture import And, Predicate, RecordBatch
from kubeshark.core_capture.store import Identity, Requests, Store, create_identity, identity_path, open_store
from kubeshark.errors import StoreError, UsageError
from kubeshark.pipeline._budget import never
from kubeshark.pipeline.entries import _lookup as lookup

if TYPE_CHECKING:
    from kubeshark.core_capture.live import LiveOptions, PacketSource
    from kubeshark.core_capture.store import CacheStats, Retention, TlsFiles, VerifyReport
    from kubeshark.errors import KubesharkError
    from kubeshark.pipeline.dissection._secrets import Secrets
    from kubeshark.pipeline.enrichment._enrich import EnricherBinding
    from kubeshark.pipeline.enrichment._rules import RedactionRule
    from kubeshark.pipeline.entries._entry import Entry
    from kubeshark.pipeline.executors._executor import ExecutorName
    from kubeshark.pipeline.exports._export import ExportResult, HarResult
    from kubeshark.pipeline.follow._follow import Follow
    from kubeshark.pipeline.intake._capture import CaptureLimits, CaptureProgress, CaptureResult
    from kubeshark.pipeline.intake._folder import FolderImport
    from kubeshark.pipeline.intake._imports import ImportResult, Progress
    from kubeshark.pipeline.kfl import Variable
    from kubeshark.pipeline.plugins._manager import Plugins
    from kubeshark.pipeline.query._arguments import QueryArguments
    from kubeshark.pipeline.query._connections import Found
    from kubeshark.pipeline.query._exact import Exact
    from kubeshark.pipeline.query._filter import EntryFilter
    from kubeshark.pipeline.query._query import QueryOptions
    from kubeshark.pipeline.query._store_query import StoreQuery
    from kubeshark.pipeline.tls import KeyLog

__all__ = ["Pipeline"]

T = TypeVar("T")


class Pipeline:
    """An open store. Use it as a context manager: plugin processes end with it."""

    def __init__(self, store: Store, plugins: Plugins | None, recipients: tuple[str, ...], keylog: KeyLog) -> None:
        self._keylog = keylog
        self._keylog_files: Sequence[Path] = ()  # a live view reads them again
        self.store = store
        self._plugins = plugins
        self._recipients = recipients
        self._loads_plugins = plugins is None
        self._asked: Requests | None = None  # of a server before the latest query; its first one pays for the opening
        self._has_queried = False
        self._is_view = False
        self._enrichers: tuple[EnricherBinding, ...] = ()  # of a restricted view
        self._only: tuple[EntryFilter, ...] = ()  # which all that it shows matches
        self._gives_packets = True

    @property
    def plugins(self) -> Plugins:
        """The plugins; loaded when something first asks for them: an import and many an export never do."""
        if self._plugins is None:
            from kubeshark.pipeline.plugins._manager import Plugins

            self._plugins = Plugins.installed()
        return self._plugins

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        identities: Iterable[Identity] | None = None,
        recipients: Iterable[str] = (),
        create: bool = True,
        plugins: Plugins | None = None,
        keylogs: Iterable[str | Path] = (),
        cache_bytes: int = 0,
        workers: Iterable[str] | None = None,
        archives: Iterable[str] = (),
        tls: TlsFiles | None = None,
        macros: Mapping[str, str] | None = None,
    ) -> Self:
        """Open a store, making folder and identity if they are not there and `create` is set.

        `identities` default to those in $KUBESHARK_IDENTITY (~/.kubeshark/identity.age); `recipients` (age1…) are who
        may read what is imported, by default the identities' own. `keylogs` are TLS key-log files (NSS format) to
        decrypt with, beside those in $KUBESHARK_KEYLOG and the secrets in the store. With `cache_bytes`, that much of
        what queries decrypted stays in memory for the next ones, in this process alone. `workers` are URLs of stores
        that are queried with it, and may be others later (None: never any); `archives` those of what workers upload
        to. One that does not answer is a query's problem, and no error. `path` may be an archive itself. `tls`: what we
        show workers, by default what lies in $KUBESHARK_TLS. `macros` are names for KFL that filters may use. Raises
        StoreError, InputError for a key log that cannot be read, UsageError for a macro that cannot be meant.
        """
        from kubeshark.pipeline.dissection._secrets import key_log_files, read_key_logs

        files = key_log_files(keylogs)
        keylog = read_key_logs(files)
        given = None if identities is None else tuple(identities)
        store = open_store(
            path,
            workers=workers,
            archives=archives,
            tls=tls,
            identities=given,
            create=create,
            cache_bytes=cache_bytes,
        )
        if create and given is None and not tuple(recipients):
            _ensure_identity(store)
        pipeline = cls(store, plugins, tuple(recipients), keylog)
        pipeline._keylog_files = files
        if macros:
            pipeline.plugins.use_macros(macros)
        return pipeline

    def restricted(
        self, *, rules: Sequence[RedactionRule] = (), namespaces: Collection[str] | None = None, only: str = ""
    ) -> Pipeline:
        """Return the same pipeline as somebody sees it from whom `rules` hide things, or who sees some namespaces only.

        `only`: KFL that all entries of it match, as they are before rules hide anything. Filters see no more than that
        either. Packets cannot be redacted: with rules or namespaces it does not export them, with `only` the whole
        connections of what is seen. A view may be restricted again. Closing it is the business of the pipeline it was
        made of. Raises UsageError for a bad filter.
        """
        from kubeshark.pipeline.enrichment._rules import namespace_enricher, only_enricher, rule_enricher

        view = copy.copy(self)
        view._plugins = self.plugins
        view._loads_plugins = False  # processes would not know the rules
        view._is_view = True
        added = []
        if only.strip():
            chosen = self.compile(only)
            view._only = (*self._only, chosen)
            added.append(only_enricher(chosen))
        added += [] if namespaces is None else [namespace_enricher(namespaces)]
        added += [rule_enricher(rules)] if rules else []
        view._enrichers = (*self._enrichers, *added)
        view._gives_packets = self._gives_packets and not rules and namespaces is None
        return view

    def reload_plugins(self) -> Plugins | None:
        """Load the installed plugins anew, for what begins from now on; the caller closes those returned."""
        from kubeshark.pipeline.plugins._manager import Plugins

        before, self._plugins = self._plugins, Plugins.installed()
        if before is not None:
            self._plugins.macros = before.macros
        return before

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The KFL variables that entries have, those of plugins included."""
        return self.plugins.variables

    def import_file(
        self,
        file: str | Path | BinaryIO,
        *,
        name: str = "",
        keylogs: Iterable[str | Path] = (),
        on_progress: Progress | None = None,
        on_batch: Callable[[RecordBatch], None] | None = None,
    ) -> ImportResult:
        """Read a capture file ("-": standard input), or an open one, into the store, where it is called `name`.

        Repeating an import continues it, or does nothing; not so for a pipe, and for who may only write (recipients
        without identity), who cannot know. Raises InputError if the file cannot be read at all; what is unreadable
        behind its first packets is in the result's problems. `on_progress` gets (bytes read, bytes in all), where a
        file counts twice: its SHA-256 is taken first. `keylogs` are stored with it, encrypted, as pcapng keeps them: as
        decryption secrets. `on_batch` gets the packets that are stored.
        """
        from kubeshark.pipeline.intake._imports import Import

        job = Import(
            self.store,
            self._readers(),
            may_only_write=bool(self._recipients),
            plugins=lambda: self.plugins,
        )
        return job.run(file, keylogs, on_progress, name, on_batch)

    def capture(
        self,
        source: PacketSource | Sequence[str] | str,
        *,
        options: LiveOptions | None = None,
        limits: CaptureLimits | None = None,
        retention: Retention | None = None,
        cpu: float = 0.0,
        drops_privileges: bool = False,
        on_progress: Callable[[CaptureProgress], None] | None = None,
        on_batch: Callable[[RecordBatch], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> CaptureResult:
        """Capture into the store until `source.stop()` or a limit; names of interfaces are a source, too.

        Raises UsageError for an interface or a filter that is wrong, CaptureError without permission, StoreError.
        `on_progress` is called about five times a second, `on_notice` when an interface goes or a sender comes, both in
        this thread; `on_batch` gets what is stored. `retention` lets the oldest segments go meanwhile. `cpu` is how
        many processors this process may use, 0 for any: sealing waits while it uses more, capturing never does. With
        `drops_privileges` the whole process gives up its capabilities once the source is open: for a program that does
        nothing else.
        """
        from kubeshark.core_capture.live import LiveSource, drop_privileges
        from kubeshark.pipeline.intake._capture import Capture, CaptureLimits
        from kubeshark.pipeline.intake._imports import plugins_with_import_hooks

        names = [source] if isinstance(source, str) else source
        opened = LiveSource(names, options) if isinstance(names, Sequence) else names
        try:
            recipients = self._readers()
            plugins = plugins_with_import_hooks(lambda: self.plugins)
            if drops_privileges and (threads := drop_privileges(opened.capabilities)) and on_notice is not None:
                on_notice(f"{threads} threads that ran before keep their capabilities")
            return Capture(
                self.store,
                recipients,
                opened,
                limits=limits or CaptureLimits(),
                retention=retention,
                cpu=cpu,
                plugins=plugins,
                on_progress=on_progress,
                on_batch=on_batch,
                on_notice=on_notice,
            ).run()
        finally:
            if opened is not names:
                opened.close()

    def query(self, kfl: str = "", **options: Unpack[QueryArguments]) -> StoreQuery[Entry]:
        """Return the entries that match, in time order; no packet is read before it is iterated.

        Raises UsageError for a bad filter, cursor or option, StoreError if the store cannot be opened. See
        QueryArguments for the options.
        """
        from kubeshark.pipeline.query._rows import itself

        return self.map(itself, kfl, **options)

    def follow(self, kfl: str = "", *, since_ns: int | None = None, begun_later: bool = False) -> Follow:
        """Return the live view: iterate it for matching entries as they become complete, from now on, or `since_ns`.

        Their ids are those that every query gives. It ends after `stop`. With `begun_later` entries whose first packet
        was there at the first look are left out: a query shows them. Raises what `query` does.
        """
        from kubeshark.pipeline.dissection._secrets import LiveSecrets
        from kubeshark.pipeline.follow._follow import follow_store

        secrets = LiveSecrets(self._keylog, self._keylog_files, self.store)
        return follow_store(
            self.store, self.plugins, self.compile(kfl), secrets, since_ns, self._enrichers, begun_later=begun_later
        )

    def rows(
        self,
        kfl: str = "",
        *,
        fields: Iterable[str] | None = None,
        jobs: int | None = 1,
        executor: ExecutorName = "process",
        **options: Unpack[QueryArguments],
    ) -> StoreQuery[dict[str, Any]]:
        """Return dicts: "id", "timestamp" (ns since 1970) and KFL variables; without `fields` whole JSON documents.

        `jobs`, `executor` and the rest as in `map`. Raises UsageError for a variable that does not exist, too.
        """
        from kubeshark.pipeline.query._rows import Document, Fields

        if fields is None:
            return self.map(Document(), kfl, jobs=jobs, executor=executor, **options)
        names = tuple(fields)
        if unknown := [name for name in names if name not in self.variables]:
            raise UsageError(f"unknown variable {unknown[0]!r} in fields")
        return self.map(Fields(names), kfl, jobs=jobs, executor=executor, **options)

    def map(
        self,
        make: Callable[[Entry], T],
        kfl: str = "",
        *,
        jobs: int | None = 1,
        executor: ExecutorName = "process",
        **options: Unpack[QueryArguments],
    ) -> StoreQuery[T]:
        """Return what `make` makes of the entries that match, in time order.

        With `jobs` > 1 the work is spread over that many processes: this one, and others that load the installed
        plugins themselves; None: as many as are worth it. With the executor "ray" so many actors of a cluster do what
        lies on object storage; with "inline" this process does all. `make` then runs there: a function or object of an
        importable module, its results picklable. A pipeline that was given its plugins does everything itself.
        """
        from kubeshark.pipeline.query._arguments import check_work, make_options
        from kubeshark.pipeline.query._rows import itself

        check_work(jobs, executor)
        entry_filter, secrets = self._filter(kfl)
        if not self._loads_plugins or make is itself or self.plugins.scripts is not None:
            executor = "inline"
        chosen = make_options(options, entry_filter.limit)
        predicate = entry_filter.predicate
        if entry_filter.ids is not None:
            predicate = And((predicate, lookup.of_entries(self.store, entry_filter.ids)))
        if entry_filter.streams is not None:
            predicate = And((predicate, lookup.of_streams(self.store, frozenset(entry_filter.streams))))
        return self._query(entry_filter, predicate, secrets, make, chosen, jobs, executor)

    def compile(self, kfl: str) -> EntryFilter:
        """Check a filter without reading anything of the store; raise UsageError, with line and column."""
        from kubeshark.pipeline.query._filter import EntryFilter

        return EntryFilter(kfl, self.plugins, now_ns=time.time_ns(), can_decrypt=True)

    def _filter(self, kfl: str) -> tuple[EntryFilter, Secrets]:
        from kubeshark.pipeline.dissection._secrets import Secrets
        from kubeshark.pipeline.query._filter import EntryFilter

        self._asked = self.store.requests if self._has_queried else None
        self._has_queried = True
        secrets = Secrets.of_store(self._keylog, self.store)
        can_decrypt = secrets.step is not None
        return EntryFilter(kfl, self.plugins, now_ns=time.time_ns(), can_decrypt=can_decrypt), secrets

    def entry(self, entry_id: str, problems: list[KubesharkError] | None = None) -> Entry | None:
        """Dissect one flow again and return one entry of it; None if there is no such entry.

        `problems` gets what went wrong meanwhile. Raises UsageError if the text cannot be an id.
        """
        from kubeshark.pipeline.entries._entry import EntryId
        from kubeshark.pipeline.query._query import QueryOptions
        from kubeshark.pipeline.query._rows import itself

        wanted = EntryId.parse(entry_id) if isinstance(entry_id, str) else None
        if wanted is None:
            raise UsageError(f"{entry_id!r} is not an entry id", hint="ids come from kubeshark query --output jsonl")
        candidates, secrets = self._filter("flow" if wanted.number == "flow" else "")
        options = QueryOptions(prefer=wanted.segment)
        query = self._query(candidates, lookup.of_entries(self.store, (entry_id,)), secrets, itself, options)
        with closing(cast("Generator[Entry, None, None]", iter(query))) as entries:  # then `problems` are whole
            found = next((entry for entry in entries if entry.entry_id == wanted), None)
        if problems is not None:
            problems += query.problems
        return found

    def connections(
        self,
        kfl: str = "",
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        gave_up: Callable[[], bool] = never,
    ) -> Found:
        """Return the store's connections as rows of flow tables, for `kubeshark.firewall`; with KFL, those it selects.

        Nothing is dissected unless the filter asks for it. Raises UsageError for a bad filter.
        """
        from kubeshark.pipeline.query._connections import find_connections

        return find_connections(self, kfl, since_ns=since_ns, until_ns=until_ns, gave_up=gave_up)

    def exact(self, kfl: str) -> Exact | None:
        """Return what selects all packets of the entries that match and may be seen, if the index alone can tell them.

        None if it cannot, and for a filter that asks for everything.
        """
        from kubeshark.pipeline.query._exact import Exact, exact_predicate

        texts = [each.kfl for each in self._only] + [kfl] * bool(kfl.strip())
        found = [exact_predicate(text, now_ns=time.time_ns()) for text in texts]
        known = [each for each in found if each is not None]
        if not known or len(known) < len(found):
            return None
        predicates = tuple(each.predicate for each in known)
        return Exact(
            And(predicates) if len(known) > 1 else predicates[0],
            tuple(notice for each in known for notice in each.notices),
        )

    @property
    def shows_some_only(self) -> bool:
        """Whether there is KFL that all its entries match: without another filter, too, these are not all."""
        return bool(self._only)

    def connection(self, entry: Entry, *, limit: int) -> list[Entry]:
        """Return the entries of an entry's connection, in time order."""
        from kubeshark.pipeline.query._query import QueryOptions
        from kubeshark.pipeline.query._rows import itself

        segment, row = entry.facts.parts[0]
        predicate = lookup.same_flow(segment.flows[row])
        everything, secrets = self._filter("")
        query = self._query(everything, predicate, secrets, itself, QueryOptions())
        found: list[Entry] = []
        for other in query:
            if other.facts.stream == entry.facts.stream:
                found.append(other)
                if len(found) >= limit:
                    break
        return found

    def export(
        self,
        kfl: str,
        out: str | Path | BinaryIO,
        *,
        format: Literal["pcap", "pcapng"] = "pcap",
        since_ns: int | None = None,
        until_ns: int | None = None,
        bpf: str = "",
        packets_only: bool = False,
        gave_up: Callable[[], bool] = never,
    ) -> ExportResult:
        """Write packets byte for byte in capture order; with KFL, the whole connections of the matching entries.

        With `packets_only` those packets alone that carried them. `bpf`, a libpcap filter, chooses among the packets;
        it raises UsageError where it is wrong. An expression that the index answers alone is not dissected for. `out`
        is a path, "-" or a binary stream. `gave_up` ends what is looked at for it; whoever gives it lets writing to
        `out` fail then.
        """
        from kubeshark.pipeline.exports._export import export_packets

        self._check_gives_packets()
        return export_packets(
            self,
            kfl,
            out,
            form=format,
            since_ns=since_ns,
            until_ns=until_ns,
            bpf=bpf,
            packets_only=packets_only,
            gave_up=gave_up,
        )

    def export_entries(
        self, entries: Sequence[Entry], out: BinaryIO, *, format: Literal["pcap", "pcapng", "har"] = "pcap"
    ) -> None:
        """Write the whole connections of these entries, or as HAR the HTTP exchanges among them."""
        if format == "har":
            from kubeshark.pipeline.exports._har import write_har

            write_har(entries, out)
            return
        from kubeshark.pipeline.exports._export import export_connections

        self._check_gives_packets()
        export_connections(self.store, entries, out, form=format)

    def export_har(
        self,
        kfl: str,
        out: str | Path | BinaryIO,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        with_secrets: bool = False,
        gave_up: Callable[[], bool] = never,
    ) -> HarResult:
        """Write the matching HTTP exchanges as HAR 1.2, in time order; other entries are counted as skipped.

        Headers that carry secrets are redacted, with all that repeats their values, unless `with_secrets`.
        """
        from kubeshark.pipeline.exports._export import export_har

        return export_har(
            self, kfl, out, since_ns=since_ns, until_ns=until_ns, with_secrets=with_secrets, gave_up=gave_up
        )

    def _check_gives_packets(self) -> None:
        if not self._gives_packets:
            raise UsageError("packets cannot be redacted, and have no namespace", hint="export as HAR")

    def info(self) -> dict[str, Any]:
        """Return what the store holds, as JSON: totals, time range, recipients, leftovers, segments."""
        from kubeshark.pipeline.intake._said import said_store

        return said_store(self.store)

    def verify(self) -> VerifyReport:
        """Authenticate every byte of the store."""
        return self.store.verify()

    @property
    def cache(self) -> CacheStats:
        """What of the store is kept in memory, and how often that spared reading it."""
        return self.store.cache.stats

    def free_memory(self) -> None:
        """Let go of what is kept in memory for the next query: decrypted indexes and packets."""
        self.store.free_memory()

    def follow_folder(
        self,
        place: str | Path,
        *,
        on_progress: Progress | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> FolderImport:
        """Return what imports the captures in a folder, and those that come into it, once it is `run`, until `stop`.

        For a file: that, as it grows, and what a rotation makes of it. InputError if there is neither.
        """
        from kubeshark.pipeline.intake._folder import FolderImport
        from kubeshark.pipeline.intake._imports import plugins_with_import_hooks

        return FolderImport(
            self.store,
            self._readers(),
            Path(place),
            plugins=plugins_with_import_hooks(lambda: self.plugins),
            on_progress=on_progress,
            on_notice=on_notice,
        )

    def _readers(self) -> list[str]:
        """Return who may read what is added; the identities' own recipients where no others were given."""
        return list(self._recipients) or [str(identity.recipient) for identity in self.store.identities]

    def _since(self, asked: Requests | None) -> Requests | None:
        now = self.store.requests
        return now - asked if now and asked else now

    def close(self) -> None:
        if self._is_view:
            return
        if self._plugins is not None:
            self._plugins.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _query(
        self,
        entry_filter: EntryFilter,
        predicate: Predicate,
        secrets: Secrets,
        make: Callable[[Entry], T],
        options: QueryOptions,
        jobs: int | None = 1,
        executor: ExecutorName = "process",
    ) -> StoreQuery[T]:
        from kubeshark.pipeline.dissection._secrets import notices
        from kubeshark.pipeline.query._store_query import query_store

        asked = self._asked
        terms = predicate.terms if isinstance(predicate, And) else (predicate,)
        return query_store(
            self.store,
            self.plugins,
            entry_filter,
            And((*terms, *(each.predicate for each in self._only))) if self._only else predicate,
            secrets,
            make,
            options,
            jobs=jobs,
            executor=executor,
            enrichers=self._enrichers,
            notes=notices(self._keylog),
            requests=lambda: self._since(asked),
        )


def _ensure_identity(store: Store) -> None:
    """Make the identity if there is none, and say so."""
    path = identity_path()
    if path.exists():
        return
    if store.files.contains(path):
        raise StoreError(f"the identity {path} would lie under the store it opens", hint="set KUBESHARK_IDENTITY")
    identity = create_identity(path)
    print(  # noqa: T201 - the one thing a library user must be told, once
        f"kubeshark: made the identity {path} for {identity.recipient}:"
        " keep a copy, without it the store opens nowhere",
        file=sys.stderr,
    )
