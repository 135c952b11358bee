/** The rows of one query, in columns: batches behind each other. A row is a number; nothing is made for it until it is drawn. */

import { type Batch, numberAt, textAt } from "./batches";

export class Rows {
  private batches: Batch[] = [];
  private starts: number[] = []; // first row of each batch
  private last = 0; // batch of the last look-up: a screen asks for neighbours
  count = 0;

  add(batch: Batch): void {
    if (!batch.count) return;
    this.batches.push(batch);
    this.starts.push(this.count);
    this.count += batch.count;
  }

  clear(): void {
    this.batches = [];
    this.starts = [];
    this.count = this.last = 0;
  }

  /** Drop whole batches from the front until at most `max` rows are left; returns how many rows went. */
  trim(max: number): number {
    let gone = 0;
    let rows = 0;
    while (this.count - rows > max && gone < this.batches.length - 1) rows += this.batches[gone++]?.count ?? 0;
    if (!gone) return 0;
    this.batches.splice(0, gone);
    this.starts = this.starts.slice(gone).map((start) => start - rows);
    this.count -= rows;
    this.last = 0;
    return rows;
  }

  private find(row: number): number {
    const { starts, last } = this;
    const end = (k: number): number => starts[k + 1] ?? this.count;
    if (row >= (starts[last] ?? 0) && row < end(last)) return last;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= row) low = middle;
      else high = middle - 1;
    }
    return (this.last = low);
  }

  text(row: number, name: string): string {
    const at = this.find(row);
    const column = this.batches[at]?.columns.get(name);
    return column ? textAt(column, row - (this.starts[at] ?? 0)) : "";
  }

  number(row: number, name: string): number {
    const at = this.find(row);
    const column = this.batches[at]?.columns.get(name);
    return column ? numberAt(column, row - (this.starts[at] ?? 0)) : Number.NaN;
  }

  isNumber(row: number, name: string): boolean {
    return this.batches[this.find(row)]?.columns.get(name)?.kind === "number";
  }

  id(row: number): string {
    return row >= 0 && row < this.count ? this.text(row, "id") : "";
  }

  /** Bytes that the columns hold. */
  get bytes(): number {
    let sum = 0;
    for (const { columns } of this.batches) {
      for (const column of columns.values()) {
        if (column.kind === "text") sum += column.offsets.byteLength + column.bytes.byteLength;
        else if (column.kind === "packed") sum += column.template.byteLength + column.starts.byteLength + column.numbers.byteLength;
        else if (column.kind === "id") sum += column.segment.byteLength + column.flow.byteLength + column.n.byteLength;
        else sum += column.array.byteLength;
      }
    }
    return sum;
  }
}
