/** What each node enforces, what its rules counted, and what waits to be confirmed: with Confirm and Undo. */

import { useState } from "preact/hooks";
import { api } from "../core/api";
import { counted } from "../core/firewall";
import { count } from "../core/format";
import { may, say } from "../core/state";
import type { FirewallChange, FirewallNodeStatus, FirewallStatus } from "../core/types";
import { status as text } from "../text/firewall";

export function StatusCard({ status, changed, mayChange }: { status: FirewallStatus; changed: () => void; mayChange: boolean }) {
  const rules = counted(status.nodes);
  return (
    <section class="card" aria-labelledby="enforced-title">
      <h2 id="enforced-title">{text.title}</h2>
      {status.problem && <p class="bad" role="alert">{status.problem}</p>}
      {status.warnings.map((each) => <p key={each} class="warn">{each}</p>)}
      {may("firewall") && <Waiting left={status.confirm_within} changed={changed} mayChange={mayChange} mayUndo={status.revision > 0} />}
      {status.nodes.length === 0 && <p class="dim">{text.noNodes}</p>}
      {status.nodes.length > 0 && (
        <div class="scroll-x" tabIndex={0} role="region" aria-label={text.nodes}>
          <table class="grid">
            <thead><tr><th scope="col">{text.node}</th><th scope="col">{text.state}</th><th scope="col" class="n">{text.generation}</th><th scope="col">{text.hooks}</th><th scope="col">{text.events}</th></tr></thead>
            <tbody>{status.nodes.map((each) => <Node key={each.url} node={each} />)}</tbody>
          </table>
        </div>
      )}
      {rules.length > 0 && (
        <div class="scroll-x" tabIndex={0} role="region" aria-label={text.counters}>
          <table class="grid">
            <thead><tr><th scope="col">{text.rule}</th><th scope="col">{text.action}</th><th scope="col" class="n">{text.packets}</th><th scope="col" class="n">{text.size}</th></tr></thead>
            <tbody>{rules.map((each, i) => (
              <tr key={i}><td>{text.ruleName(each.direction, each.policy, each.rule)}</td><td>{each.action}</td><td class="n">{count(each.packets)}</td><td class="n">{text.bytes(each.bytes)}</td></tr>
            ))}</tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Node({ node }: { node: FirewallNodeStatus }) {
  const missing = node.targets.flatMap((each) => Object.entries(each.notEnforced).map(([where, why]) => text.notEnforced(each.name, where, why)));
  const sum = (of: "events" | "lost"): number => node.targets.reduce((all, each) => all + each[of], 0);
  const isWell = node.state === "enforced" && missing.length === 0;
  return (
    <tr>
      <td title={node.url}>{node.node || node.url}</td>
      <td><span class={isWell ? "" : "bad"}>{node.state}</span>{node.why && <div class="bad">{node.why}</div>}{missing.filter((each) => !node.why.includes(each)).map((each) => <div key={each} class="bad">{each}</div>)}</td>
      <td class="n">{count(node.generation)}</td>
      <td class="mono">{node.targets.flatMap((each) => Object.entries(each.hooks).map(([device, kind]) => text.hook(each.name, device, kind))).join(", ")}</td>
      <td>{text.eventsOf(sum("events"), sum("lost"))}</td>
    </tr>
  );
}

function Waiting({ left, changed, mayChange, mayUndo }: { left: number | null; changed: () => void; mayChange: boolean; mayUndo: boolean }) {
  const [isBusy, setBusy] = useState(false);
  const run = async (what: () => Promise<FirewallChange>, done: string): Promise<void> => {
    setBusy(true);
    try {
      const { nodes } = await what();
      say([done, ...nodes.map(text.took)].join("; "), nodes.some((each) => each.state !== "enforced"));
    } catch (failed) {
      say((failed as Error).message, true);
    }
    setBusy(false);
    changed();
  };
  if (!mayChange) return left === null ? null : <p class="warn">{text.undoneIn(left)} {text.needsAdmin}</p>;
  const undo = (): void => { if (left !== null || confirm(text.undoAsk)) void run(api.rollBackPolicies, text.undone); };
  return (
    <p class="buttons">
      {left !== null && <><span class="warn" role="timer">{text.undoneIn(left)}</span><button type="button" class="primary" disabled={isBusy} onClick={() => void run(api.confirmPolicies, text.confirmed)}>{text.confirm}</button></>}
      {mayUndo && <button type="button" disabled={isBusy} title={text.undoTitle} onClick={undo}>{text.undo}</button>}
    </p>
  );
}
