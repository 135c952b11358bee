/** A policy made of an entry's ends, on its way to the editor of the firewall view. */

import { signal } from "@preact/signals";
import { denies } from "../text/policies";
import type { EntryData } from "./types";

/** What the firewall view begins with, once; "": its template. */
export const proposed = signal("");

const V4 = /^\d{1,3}(\.\d{1,3}){3}$/;
const V6 = /^[0-9a-f:.]*:[0-9a-f:.]*$/i;

/** Return the text that denies an entry's connection, as Audit; "" if it has no addresses and port to deny. */
export function denial({ src, dst, networkProps }: Pick<EntryData, "src" | "dst" | "networkProps">): string {
  const transport = networkProps?.transport.toLowerCase();
  const port = /^\d{1,5}$/.test(dst.port) ? Number(dst.port) : 0;
  const client = network(src.ip);
  const server = network(dst.ip);
  if ((transport !== "tcp" && transport !== "udp") || port < 1 || port > 65_535 || !client || !server) return "";
  const name = `deny-${dst.ip.toLowerCase().replace(/[^0-9a-f]+/g, "-").replace(/^-|-$/g, "") || "any"}-${port}`;
  return denies(name, { client, server, port, transport });
}

const network = (ip: string): string => (V4.test(ip) ? `${ip}/32` : V6.test(ip) ? `${ip}/128` : "");
