/** Where the names of nodes stand, so that none covers another or a node. Pure; all lengths in px of the screen. */

export interface Labelled {
  readonly x: number; // of the node's middle
  readonly y: number;
  readonly radius: number;
  readonly width: number; // of its name
}
export interface Label {
  readonly at: number; // in the list that was given
  readonly x: number; // of the text's middle
  readonly y: number; // of the text's middle
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

const CELL = 96;
const GAP = 3;

/** Boxes by cell: a name is compared with its neighbours alone. */
class Taken {
  private readonly cells = new Map<string, Box[]>();

  private *around(box: Box): Generator<string> {
    for (let x = Math.floor(box.left / CELL); x <= Math.floor(box.right / CELL); x++) {
      for (let y = Math.floor(box.top / CELL); y <= Math.floor(box.bottom / CELL); y++) yield `${x},${y}`;
    }
  }

  add(box: Box): void {
    for (const cell of this.around(box)) {
      const known = this.cells.get(cell);
      if (known) known.push(box);
      else this.cells.set(cell, [box]);
    }
  }

  isFree(box: Box): boolean {
    for (const cell of this.around(box)) {
      for (const other of this.cells.get(cell) ?? []) {
        if (box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom) return false;
      }
    }
    return true;
  }
}

/** The first in the list choose first: below, above, right, left of the node. Who finds no place gets no name until one zooms in. */
export function placeLabels(nodes: readonly Labelled[], height: number): Label[] {
  const taken = new Taken();
  for (const { x, y, radius } of nodes) taken.add({ left: x - radius, top: y - radius, right: x + radius, bottom: y + radius });
  const placed: Label[] = [];
  nodes.forEach(({ x, y, radius, width }, at) => {
    const aside = radius + GAP + width / 2;
    const over = radius + GAP + height / 2;
    for (const [dx, dy] of [[0, over], [0, -over], [aside, 0], [-aside, 0]] as const) {
      const box = { left: x + dx - width / 2, top: y + dy - height / 2, right: x + dx + width / 2, bottom: y + dy + height / 2 };
      if (!taken.isFree(box)) continue;
      taken.add(box);
      placed.push({ at, x: x + dx, y: y + dy });
      return;
    }
  });
  return placed;
}
