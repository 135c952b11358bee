/**
 * The list of entries: an imperative component, because a framework's row objects cost three times the frame.
 *
 * 1. A pool of as many rows as fit the viewport, filled again in place; row i lives in slot i mod pool.
 *    A slot stands at its place in the pool, or a pool further, and the layer moves: of a screen that is scrolled, few slots do.
 * 2. Work per frame is O(visible), per scrolled row O(columns); one handler for all clicks.
 * 3. What one reads stays where it is: rows that come below move nothing, rows dropped above are compensated.
 */

import { type Zone, bytes, clock, dayClock, differIn, hue, latency, moment, verdict, visible } from "../core/format";
import type { Rows } from "../core/rows";
import { Track } from "../core/window";
import { texts } from "../text/traffic-list";
import { type ListColumn, columnWidths, fitting, mayBeCut, roomFor } from "./fit";

export interface ListEvents {
  open(row: number): void;
  select(row: number): void;
  cell(row: number, column: string, exclude: boolean): void;
  end(atEnd: boolean): void;
  sort(): void;
  resize(column: string, width: number): void;
}

const FILTERABLE = new Set(["protocol", "method", "status", "src", "dst"]);
const ROW_PX = { normal: 26, compact: 21 } as const;
/** A time with its date, and with its year. */
const TIME_PX = { "": 0, day: 152, year: 188 } as const;
const RULE = 20; // characters: one alone would be rounded
const CLOCKS = { "": clock, day: dayClock, year: moment } as const;

interface Slot {
  readonly element: HTMLDivElement;
  readonly cells: HTMLSpanElement[];
  readonly texts: Text[];
  readonly cut: boolean[]; // cells that clip: painting one costs as much as three that do not
  row: number;
  y: number;
  stamp: number;
  hue: number;
  verdict: string;
  wasSelected: boolean;
}

export class TrafficList {
  readonly element = document.createElement("div");
  private readonly head = document.createElement("div");
  private readonly scroller = document.createElement("div");
  private readonly spacer = document.createElement("div");
  private readonly layer = document.createElement("div");
  private readonly rule = document.createElement("span"); // tells how wide a character is
  private slots: Slot[] = [];
  private wanted: readonly ListColumn[] = [];
  private columns: readonly ListColumn[] = []; // those that fit
  private rooms: readonly number[] = []; // characters that surely fit each
  private order: "oldest" | "newest" = "oldest";
  private rowPx: number = ROW_PX.normal;
  private zone: Zone = "local";
  private top = 0;
  private expectedScroll = -1;
  private viewPx = 0;
  private viewWidth = 0;
  private stamp = 0;
  private frame = 0;
  private selected = -1;
  private focusColumn = 0;
  private marked: ReadonlySet<string> = new Set();
  private peers: readonly [string, string] | null = null;
  private follows = false;
  private drawnRows = -1;
  private isPassed = false; // the last frame was not drawn
  private span: "year" | "day" | "" = ""; // what the rows run through
  private readonly observer: ResizeObserver;

  constructor(private readonly rows: Rows, private readonly events: ListEvents) {
    this.element.className = "list";
    this.head.className = "list-head";
    this.head.id = "list-head";
    this.head.setAttribute("role", "row");
    this.head.setAttribute("aria-rowindex", "1");
    this.scroller.className = "list-scroll";
    // What has the focus must be the grid itself: it names the selected row. The head does not scroll, so it is owned.
    this.scroller.tabIndex = 0;
    this.scroller.setAttribute("role", "grid");
    this.scroller.setAttribute("aria-label", "Entries");
    this.scroller.setAttribute("aria-owns", "list-head");
    this.spacer.className = "list-spacer";
    this.spacer.setAttribute("role", "presentation");
    this.layer.className = "list-layer";
    this.layer.setAttribute("role", "presentation");
    this.rule.className = "list-rule";
    this.rule.setAttribute("aria-hidden", "true");
    this.rule.textContent = "W".repeat(RULE);
    this.scroller.append(this.layer, this.spacer);
    this.element.append(this.head, this.scroller, this.rule);
    this.scroller.addEventListener("scroll", this.onScroll, { passive: true });
    this.scroller.addEventListener("wheel", this.onWheel, { passive: false });
    this.scroller.addEventListener("click", this.onClick);
    this.scroller.addEventListener("dblclick", this.onDoubleClick);
    this.scroller.addEventListener("keydown", this.onKey);
    this.head.addEventListener("click", this.onHead);
    this.head.addEventListener("pointerdown", this.onGrip);
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(this.scroller);
  }

  destroy(): void {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
  }

  // What the page sets

  configure(columns: readonly ListColumn[], density: "normal" | "compact", zone: Zone, order: "oldest" | "newest"): void {
    const fraction = this.top / this.rowPx;
    this.wanted = columns;
    this.columns = [];
    this.drawnRows = -1; // days are those of the zone
    this.order = order;
    this.rowPx = ROW_PX[density];
    this.zone = zone;
    this.element.dataset["density"] = density;
    this.scrollTo(fraction * this.rowPx);
    this.measure();
  }

  setMarks(ids: readonly string[]): void {
    this.marked = new Set(ids);
    this.redraw();
  }

  /** Rows were added at the end. */
  grown(): void {
    this.schedule();
  }

  /** The query is another one: begin at the top, forget the selection. */
  reset(): void {
    this.selected = -1;
    this.peers = null;
    this.scrollTo(0);
    this.redraw();
  }

  /** `gone` rows were dropped above: keep what is read where it is. */
  trimmed(gone: number): void {
    this.selected = Math.max(-1, this.selected - gone);
    this.scrollTo(Math.max(0, this.top - gone * this.rowPx));
    this.redraw();
  }

  set following(on: boolean) {
    this.follows = on;
    if (on) this.toEnd();
    this.schedule();
  }

  get selection(): number {
    return this.selected;
  }

  get column(): string {
    return this.columns[this.focusColumn]?.name ?? "";
  }

  focus(): void {
    this.scroller.focus({ preventScroll: true });
  }

  select(row: number, options: { reveal?: boolean } = {}): void {
    if (!this.rows.count) return;
    this.selected = Math.min(Math.max(0, row), this.rows.count - 1);
    this.peers = [this.rows.text(this.selected, "src"), this.rows.text(this.selected, "dst")];
    if (options.reveal !== false) this.scrollTo(this.track.reveal(this.selected, this.top));
    this.redraw();
    this.events.select(this.selected);
  }

  toEnd(): void {
    this.scrollTo(this.track.maxTop);
  }

  // Geometry

  private get track(): Track {
    return new Track(this.rows.count, this.rowPx, this.viewPx);
  }

  private measure(): void {
    this.viewPx = this.scroller.clientHeight;
    this.viewWidth = this.scroller.clientWidth;
    this.element.style.setProperty("--scrollbar", `${this.scroller.offsetWidth - this.viewWidth}px`);
    const wanted = this.wanted.map((column) => (column.name === "timestamp" ? { ...column, width: Math.max(column.width, TIME_PX[this.span]) } : column));
    const columns = fitting(wanted, this.viewWidth);
    if (columns.map(({ name }) => name).join() !== this.columns.map(({ name }) => name).join()) {
      this.scroller.setAttribute("aria-colcount", String(columns.length));
      this.head.replaceChildren(...columns.map((column, i) => headCell(column, i, this.order)));
      this.slots = [];
      this.focusColumn = Math.max(0, Math.min(this.focusColumn, columns.length - 1));
    }
    this.columns = columns;
    const pool = this.viewPx ? Math.ceil(this.viewPx / this.rowPx) + 8 : 0;
    if (pool !== this.slots.length) {
      this.slots = Array.from({ length: pool }, () => this.slot());
      this.layer.replaceChildren(...this.slots.map((slot) => slot.element));
    }
    this.layOut(this.columns);
    if (this.follows) this.toEnd();
    this.redraw();
  }

  /** Cells have widths of their own: a grid would be laid out anew for each text. */
  private layOut(columns: readonly ListColumn[]): void {
    const widths = columnWidths(columns, this.viewWidth);
    const characterPx = this.rule.getBoundingClientRect().width / RULE;
    this.rooms = columns.map(({ name }, i) => (characterPx ? roomFor(name, widths[i] ?? 0, characterPx) : 0));
    this.head.style.gridTemplateColumns = widths.map((width) => `${width}px`).join(" ");
    for (const { cells } of this.slots) {
      let left = 0;
      for (let i = 0; i < cells.length; i++) {
        cells[i]?.style.setProperty("margin-left", `${left}px`);
        cells[i]?.style.setProperty("width", `${widths[i] ?? 0}px`);
        left += widths[i] ?? 0;
      }
    }
  }

  private scrollTo(top: number): void {
    const { track } = this;
    this.top = track.clamp(top);
    this.expectedScroll = Math.round(track.toScroll(this.top));
    this.spacer.style.height = `${track.height}px`;
    this.scroller.scrollTop = this.expectedScroll;
    this.schedule();
  }

  private readonly onScroll = (): void => {
    const now = this.scroller.scrollTop;
    if (Math.abs(now - this.expectedScroll) > 1) {
      this.top = this.track.toTop(now);
      this.expectedScroll = -1;
    }
    const atEnd = this.top >= this.track.maxTop - 2;
    this.events.end(atEnd);
    this.schedule();
  };

  /** A scaled list would jump by screens for a notch of the wheel. */
  private readonly onWheel = (event: WheelEvent): void => {
    if (!this.track.isScaled || event.ctrlKey) return;
    event.preventDefault();
    this.scrollTo(this.top + event.deltaY * (event.deltaMode === 1 ? this.rowPx : event.deltaMode === 2 ? this.viewPx : 1));
  };

  // Drawing

  private redraw(): void {
    this.stamp++;
    this.schedule();
  }

  private schedule(): void {
    if (!this.frame) this.frame = requestAnimationFrame(this.draw);
  }

  private readonly draw = (): void => {
    this.frame = 0;
    const { track, rows } = this;
    // Nobody reads a screen that is another one each frame: every second one is drawn then.
    const isFlood = this.follows && this.drawnRows > 0 && (rows.count - this.drawnRows) * this.rowPx >= this.viewPx;
    this.isPassed = isFlood && !this.isPassed;
    if (this.isPassed) return this.schedule();
    if (this.drawnRows !== rows.count) {
      this.drawnRows = rows.count;
      this.showDays();
      this.spacer.style.height = `${track.height}px`;
      this.scroller.setAttribute("aria-rowcount", String(rows.count + 1));
      if (this.follows) {
        this.top = track.maxTop;
        this.expectedScroll = Math.round(track.toScroll(this.top));
        this.scroller.scrollTop = this.expectedScroll;
      } else this.events.end(this.top >= track.maxTop - 2);
    }
    const { first, last } = track.window(this.top);
    const pool = this.slots.length;
    if (!pool) return;
    const base = first - (first % pool);
    this.layer.style.transform = `translateY(${base * this.rowPx - this.top}px)`;
    for (let k = 0; k < pool; k++) {
      const row = first + k;
      const slot = this.slots[row % pool];
      if (!slot) continue;
      const y = (row - base) * this.rowPx;
      if (slot.y !== y) slot.element.style.transform = `translateY(${(slot.y = y)}px)`;
      if (row >= last) {
        if (slot.row !== -1) {
          slot.element.hidden = true;
          slot.row = -1;
        }
      } else if (slot.row !== row || slot.stamp !== this.stamp) this.fill(slot, row);
    }
  };

  /** With rows of several days or years a time needs its date, and the column room for it. */
  private showDays(): void {
    const { rows } = this;
    const span = rows.count > 1 ? differIn(rows.number(0, "timestamp"), rows.number(rows.count - 1, "timestamp"), this.zone) : "";
    if (span === this.span) return;
    this.span = span;
    this.measure();
  }

  private slot(): Slot {
    const element = document.createElement("div");
    element.className = "row";
    element.setAttribute("role", "row");
    element.hidden = true;
    const cells: HTMLSpanElement[] = [];
    const texts: Text[] = [];
    for (const { name } of this.columns) {
      const cell = document.createElement("span");
      cell.className = `cell c-${/^[a-z]+$/.test(name) ? name : "variable"}`;
      cell.setAttribute("role", "gridcell");
      const text = document.createTextNode("");
      if (FILTERABLE.has(name)) {
        const inner = document.createElement("span");
        inner.className = "pick";
        inner.append(text);
        cell.append(inner);
      } else cell.append(text);
      element.append(cell);
      cells.push(cell);
      texts.push(text);
    }
    return { element, cells, texts, cut: cells.map(() => false), row: -1, y: -1, stamp: -1, hue: -1, verdict: "", wasSelected: false };
  }

  private fill(slot: Slot, row: number): void {
    const { rows } = this;
    const { element } = slot;
    slot.row = row;
    slot.stamp = this.stamp;
    element.hidden = false;
    element.ariaRowIndex = String(row + 2);
    const isError = rows.number(row, "error") === 1;
    const protocol = rows.text(row, "protocol");
    for (let i = 0; i < this.columns.length; i++) {
      const text = slot.texts[i];
      const cell = slot.cells[i];
      const name = this.columns[i]?.name ?? "";
      if (!text || !cell) continue;
      let value: string;
      switch (name) {
        case "timestamp":
          value = CLOCKS[this.span](rows.number(row, name), this.zone);
          break;
        case "protocol":
          value = protocol;
          if (slot.hue !== hue(protocol)) cell.dataset["hue"] = String((slot.hue = hue(protocol)));
          break;
        case "status": {
          const status = rows.number(row, name);
          value = status ? String(status) : isError ? "error" : "";
          const now = verdict(protocol, status, isError);
          if (slot.verdict !== now) cell.dataset["verdict"] = slot.verdict = now;
          break;
        }
        case "elapsed":
          value = latency(rows.number(row, name));
          break;
        case "size":
          value = rows.number(row, name) ? bytes(rows.number(row, name)) : "";
          break;
        default:
          value = visible(rows.text(row, name));
      }
      const isCut = mayBeCut(value, this.rooms[i] ?? 0);
      if (slot.cut[i] !== isCut) cell.classList.toggle("cut", (slot.cut[i] = isCut));
      if (text.data !== value) text.data = value;
    }
    const isSelected = row === this.selected;
    if (isSelected || slot.wasSelected) this.showSelection(slot, isSelected);
    const isMarked = this.marked.size > 0 && this.marked.has(rows.id(row));
    const isPeer = !isSelected && this.peers !== null && rows.text(row, "src") === this.peers[0] && rows.text(row, "dst") === this.peers[1];
    const look = `row${isMarked ? " marked" : ""}${isPeer ? " peer" : ""}`;
    if (element.className !== look) element.className = look;
  }

  private showSelection(slot: Slot, isSelected: boolean): void {
    const { element } = slot;
    slot.wasSelected = isSelected;
    if (isSelected) {
      document.getElementById("row-selected")?.removeAttribute("id"); // a row that is drawn later this frame
      element.id = "row-selected";
      element.ariaSelected = "true";
      this.scroller.setAttribute("aria-activedescendant", "row-selected");
    } else {
      element.removeAttribute("aria-selected");
      if (element.id) element.removeAttribute("id");
    }
    for (let i = 0; i < slot.cells.length; i++) slot.cells[i]?.classList.toggle("at", isSelected && i === this.focusColumn);
  }

  // Input

  private rowAt(event: Event): { row: number; column: string; isPick: boolean } | null {
    const target = event.target as Element;
    const element = target.closest<HTMLElement>(".row");
    const slot = this.slots.find((each) => each.element === element);
    if (!slot || slot.row < 0) return null;
    const cell = target.closest<HTMLElement>(".cell");
    const index = slot.cells.findIndex((each) => each === cell);
    if (index >= 0) this.focusColumn = index;
    return { row: slot.row, column: this.columns[index]?.name ?? "", isPick: target.closest(".pick") !== null };
  }

  private readonly onClick = (event: MouseEvent): void => {
    const hit = this.rowAt(event);
    if (!hit) return;
    this.select(hit.row, { reveal: false });
    if (event.altKey || event.ctrlKey || event.metaKey || hit.isPick) this.events.cell(hit.row, hit.column, event.altKey);
    else this.events.open(hit.row);
  };

  private readonly onDoubleClick = (event: MouseEvent): void => {
    const hit = this.rowAt(event);
    if (hit) this.events.open(hit.row);
  };

  private readonly onHead = (event: MouseEvent): void => {
    if ((event.target as Element).closest("button")) this.events.sort();
  };

  private readonly onGrip = (event: PointerEvent): void => {
    const grip = (event.target as Element).closest<HTMLElement>(".grip");
    const cell = grip?.parentElement;
    if (!grip || !cell) return;
    event.preventDefault();
    grip.setPointerCapture(event.pointerId);
    const begin = event.clientX;
    const width = cell.offsetWidth;
    const move = (moved: PointerEvent): number => Math.max(40, Math.min(1200, width + moved.clientX - begin));
    grip.onpointermove = (moved) => {
      const at = Number(cell.dataset["index"]);
      const columns = this.columns.map((column, i) => (i === at ? { ...column, width: move(moved) } : column));
      this.layOut(columns);
      this.redraw(); // which texts are too long is another matter now
    };
    grip.onpointerup = (done) => {
      grip.onpointermove = grip.onpointerup = null;
      this.events.resize(cell.dataset["name"] ?? "", move(done));
    };
  };

  private readonly onKey = (event: KeyboardEvent): void => {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.rows.count) return;
    const page = Math.max(1, Math.floor(this.viewPx / this.rowPx) - 1);
    const at = this.selected;
    const step = (to: number): void => this.select(to);
    switch (event.key) {
      case "ArrowDown": step(at + 1); break;
      case "ArrowUp": step(at < 0 ? 0 : at - 1); break;
      case "PageDown": step(Math.max(0, at) + page); break;
      case "PageUp": step(Math.max(0, at) - page); break;
      case "Home": step(0); break;
      case "End": step(this.rows.count - 1); break;
      case "ArrowRight": this.moveColumn(1); break;
      case "ArrowLeft": this.moveColumn(-1); break;
      case "Enter": if (at >= 0) this.events.open(at); break;
      default: return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  private moveColumn(by: number): void {
    this.focusColumn = Math.min(Math.max(0, this.focusColumn + by), this.columns.length - 1);
    this.redraw();
  }

  /** What a cell says, for copying. */
  cellText(row: number, name: string): string {
    if (name === "timestamp") return moment(this.rows.number(row, name), this.zone);
    return this.rows.text(row, name);
  }
}

function headCell(column: ListColumn, index: number, order: "oldest" | "newest"): HTMLElement {
  const cell = document.createElement("span");
  cell.className = `cell c-${/^[a-z]+$/.test(column.name) ? column.name : "variable"}`;
  cell.setAttribute("role", "columnheader");
  cell.dataset["name"] = column.name;
  cell.dataset["index"] = String(index);
  if (column.name === "timestamp") {
    const sort = document.createElement("button");
    sort.type = "button";
    sort.textContent = `${column.title} ${order === "oldest" ? "↓" : "↑"}`;
    sort.title = order === "oldest" ? texts.oldestFirstClickNewest : texts.newestFirstClickOldest;
    cell.setAttribute("aria-sort", order === "oldest" ? "ascending" : "descending");
    cell.append(sort);
  } else cell.append(column.title);
  const grip = document.createElement("span");
  grip.className = "grip";
  cell.append(grip);
  return cell;
}
