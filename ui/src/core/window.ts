/**
 * Which rows a viewport shows. Pure; lengths are CSS px.
 *
 * Chromium cuts elements at 33,554,428 px: above MAX_PX the scroll bar stands for a longer list, and its position is scaled.
 */

export const MAX_PX = 15_000_000;
export const OVERSCAN = 3;

export interface RowWindow {
  readonly first: number;
  readonly last: number; // exclusive
}

export class Track {
  constructor(readonly rows: number, readonly rowPx: number, readonly viewPx: number) {}

  /** Height of the whole list. */
  get total(): number {
    return this.rows * this.rowPx;
  }

  /** Height of the element that scrolls. */
  get height(): number {
    return Math.min(this.total, MAX_PX);
  }

  get isScaled(): boolean {
    return this.total > MAX_PX;
  }

  get maxTop(): number {
    return Math.max(0, this.total - this.viewPx);
  }

  clamp(top: number): number {
    return Math.min(Math.max(0, top), this.maxTop);
  }

  /** Position in the list for the element's scrollTop. */
  toTop(scrollTop: number): number {
    const reach = this.height - this.viewPx;
    return this.clamp(this.isScaled && reach > 0 ? (scrollTop / reach) * this.maxTop : scrollTop);
  }

  toScroll(top: number): number {
    const reach = this.height - this.viewPx;
    return this.isScaled && this.maxTop > 0 ? (this.clamp(top) / this.maxTop) * reach : this.clamp(top);
  }

  window(top: number): RowWindow {
    return {
      first: Math.max(0, Math.floor(top / this.rowPx) - OVERSCAN),
      last: Math.min(this.rows, Math.ceil((top + this.viewPx) / this.rowPx) + OVERSCAN),
    };
  }

  /** Where to scroll so that a row is seen; `top` if it is already. */
  reveal(row: number, top: number): number {
    const y = row * this.rowPx;
    if (y < top) return this.clamp(y);
    if (y + this.rowPx > top + this.viewPx) return this.clamp(y + this.rowPx - this.viewPx);
    return this.clamp(top);
  }
}
