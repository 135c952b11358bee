/** The files of what was dropped or chosen: files, and folders with all that lies below. */

import { texts } from "../text/plugin-install";
import { MAX_BYTES } from "./ksp";

const MAX_FILES = 2_000;

export interface Dropped {
  readonly files: readonly File[]; // on their own
  readonly folder: ReadonlyMap<string, File>; // by their path below what was dropped
}

function entries(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}

const fileOf = (entry: FileSystemFileEntry): Promise<File> => new Promise((resolve, reject) => entry.file(resolve, reject));

/** Must be called while the event is handled: what is dropped is gone behind it. */
export function dropped(transfer: DataTransfer | null): Promise<Dropped> {
  const roots = [...(transfer?.items ?? [])].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const plain = [...(transfer?.files ?? [])];
  return roots.some((entry) => entry.isDirectory) ? walk(roots) : Promise.resolve({ files: plain, folder: new Map() });
}

async function walk(roots: FileSystemEntry[]): Promise<Dropped> {
  const folder = new Map<string, File>();
  const queue = [...roots]; // grows while we go
  for (const entry of queue) {
    if (entry.isFile) folder.set(entry.fullPath.slice(1), await fileOf(entry as FileSystemFileEntry));
    else if (!/^(\.|node_modules$|__pycache__$)/.test(entry.name)) {
      const reader = (entry as FileSystemDirectoryEntry).createReader();
      for (let some = await entries(reader); some.length; some = await entries(reader)) queue.push(...some);
    }
    bound(folder.size, 0);
  }
  return { files: [], folder };
}

/** What `<input webkitdirectory>` gives. */
export function chosen(files: Iterable<File>): Dropped {
  return { files: [], folder: new Map([...files].map((file) => [file.webkitRelativePath || file.name, file])) };
}

function bound(files: number, bytes: number): void {
  if (files > MAX_FILES) throw new Error(texts.tooManyFiles(MAX_FILES));
  if (bytes > MAX_BYTES) throw new Error(texts.tooLarge(MAX_BYTES >> 20));
}

export async function contents(folder: ReadonlyMap<string, File>): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  bound(folder.size, [...folder.values()].reduce((sum, file) => sum + file.size, 0));
  const read = await Promise.all([...folder].map(async ([name, file]) => [name, new Uint8Array(await file.arrayBuffer())] as const));
  return new Map(read);
}
