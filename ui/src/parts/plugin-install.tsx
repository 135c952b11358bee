/** Installing a plugin: the hub says what a package is, who signed it and what it asks for; somebody then says yes to that. */

import { useRef, useState } from "preact/hooks";
import { ApiError, api } from "../core/api";
import { say } from "../core/state";
import type { Sheet } from "../core/types";
import { traffic } from "../shared";
import { Dialog } from "./dialog";
import { Icon } from "./icon";

interface Offer {
  readonly name: string;
  readonly data: ArrayBuffer;
  readonly signature: string; // base64, "" if there is none
  readonly sheet: Sheet;
}

const MAX_SIGNATURE = 12_000;

async function look(files: readonly File[]): Promise<Offer> {
  const packages = files.filter((file) => !file.name.endsWith(".sig"));
  const [file] = packages;
  if (!file || packages.length > 1) throw new Error("choose one package (.ksp), and its .sig file if there is one");
  const signed = files.find((each) => each.name.endsWith(".sig"));
  if (signed && signed.size > MAX_SIGNATURE) throw new Error(`${signed.name} is too large for a signature`);
  const signature = signed ? btoa(await signed.text()) : "";
  const data = await file.arrayBuffer();
  return { name: file.name, data, signature, sheet: await api.uploadPlugin(data, signature, {}, []) };
}

export function InstallPlugin({ done }: { done: () => void }) {
  const [isOver, setOver] = useState(false);
  const [error, setError] = useState("");
  const [offer, setOffer] = useState<Offer | null>(null);
  const chooser = useRef<HTMLInputElement>(null);
  const take = (files: FileList | null | undefined): void => {
    setError("");
    if (files?.length) look([...files]).then(setOffer, (failed: Error) => setError(failed.message));
  };
  return (
    <section class="card" aria-labelledby="install-title">
      <h2 id="install-title">Install a plugin</h2>
      <div class="drop" data-over={isOver || undefined}
        onDragOver={(event) => { event.preventDefault(); setOver(true); }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => { event.preventDefault(); setOver(false); take(event.dataTransfer?.files); }}>
        <p>Drop a package here (.ksp, as <code>kubeshark plugin pack</code> makes it), with its .sig file if it is signed. Nothing of it runs before you agree.</p>
        <button type="button" class="primary" onClick={() => chooser.current?.click()}><Icon name="upload" />Choose a package</button>
        <input ref={chooser} type="file" multiple hidden accept=".ksp,.sig" aria-label="Package to install" onChange={(event) => { take(event.currentTarget.files); event.currentTarget.value = ""; }} />
      </div>
      {error && <p class="bad" role="alert">{error}</p>}
      {offer && <Agree offer={offer} close={() => setOffer(null)} done={done} />}
    </section>
  );
}

/** The sheet: what it asks for is granted one by one, and nothing of it beforehand. */
function Agree({ offer, close, done }: { offer: Offer; close: () => void; done: () => void }) {
  const { sheet } = offer;
  const [grants, setGrants] = useState<ReadonlySet<string>>(new Set());
  const [free, setFree] = useState<Readonly<Record<string, string>>>({});
  const [isUnsigned, setUnsigned] = useState(false);
  const [isDowngrade, setDowngrade] = useState(false);
  const [error, setError] = useState("");
  const asked = Object.entries(sheet.asked).flatMap(([kind, values]) => values.map((value) => ({ kind, value, key: `${kind}=${value}` })));
  const install = async (): Promise<void> => {
    const typed = Object.entries(free).flatMap(([kind, text]) => text.split(",").map((each) => each.trim()).filter(Boolean).map((each) => `${kind}=${each}`));
    try {
      await api.uploadPlugin(offer.data, offer.signature, { install: "true", digest: sheet.digest, allow_unsigned: String(isUnsigned), downgrade: String(isDowngrade) }, [...grants, ...typed]);
      say(`${sheet.id} ${sheet.version} is installed`);
      traffic.rerun();
      done();
      close();
    } catch (failed) {
      setError((failed as ApiError).message);
    }
  };
  const toggle = (key: string): void => {
    const next = new Set(grants);
    if (!next.delete(key)) next.add(key);
    setGrants(next);
  };
  return (
    <Dialog title={`Install ${sheet.id} ${sheet.version}`} onClose={close}>
      {sheet.description && <p>{sheet.description}</p>}
      <dl class="tiles">
        <div class="minor"><dt>Language</dt><dd>{sheet.language}</dd></div>
        <div class="minor"><dt>Hooks</dt><dd>{sheet.hooks.join(", ") || "none"}</dd></div>
        <div class="minor"><dt>Replaces</dt><dd>{sheet.replaces || "nothing"}</dd></div>
        <div class="minor"><dt>Signed by</dt><dd>{sheet.signer || "nobody trusted"}</dd></div>
      </dl>
      <p class="dim">SHA-256 of its contents: <code>{sheet.digest}</code></p>
      <fieldset class="plain">
        <legend>{asked.length ? "It asks for these; what is not chosen it does not get" : "It asks for no permission"}</legend>
        {asked.map(({ kind, value, key }) => value === "*"
          ? <label key={key} class="check">{kind}, which ones you say: <input value={free[kind] ?? ""} placeholder="none" onInput={(event) => setFree({ ...free, [kind]: event.currentTarget.value })} /></label>
          : <label key={key} class="check"><input type="checkbox" checked={grants.has(key)} onChange={() => toggle(key)} /> {kind}: <code>{value}</code></label>)}
      </fieldset>
      {sheet.doubt && <p class="warn">It {sheet.doubt}.</p>}
      {sheet.doubt && <label class="check"><input type="checkbox" checked={isUnsigned} onChange={(event) => setUnsigned(event.currentTarget.checked)} /> Install it although nobody who is trusted signed it</label>}
      {sheet.replaces && error && <label class="check"><input type="checkbox" checked={isDowngrade} onChange={(event) => setDowngrade(event.currentTarget.checked)} /> Also if it is older than {sheet.replaces}</label>}
      {error && <p class="bad" role="alert">{error}</p>}
      <p class="buttons">
        <button type="button" class="primary" disabled={sheet.doubt !== "" && !isUnsigned} onClick={() => void install()}>Install</button>
        <button type="button" onClick={close}>Cancel</button>
      </p>
    </Dialog>
  );
}
