/** Installing a plugin: the hub says what a package is, who signed it and what it asks for; somebody then says yes to that. */

import { useRef, useState } from "preact/hooks";
import { ApiError, api } from "../core/api";
import { say } from "../core/state";
import type { Sheet } from "../core/types";
import { traffic } from "../shared";
import { type Dropped, chosen, contents, dropped } from "./dropped";
import { MAX_BYTES, isPackage, ofPlugin, pack, unzip } from "./ksp";
import { Dialog } from "./dialog";
import { Icon } from "./icon";
import { texts } from "../text/plugin-install";

interface Offer {
  readonly name: string;
  readonly data: ArrayBuffer;
  readonly signature: string; // base64, "" if there is none
  readonly sheet: Sheet;
}

const MAX_SIGNATURE = 12_000;

/** A package as it is; a folder, or a zip of one, packed here. */
async function look({ files, folder }: Dropped): Promise<Offer> {
  if (folder.size) {
    const data = (await pack(ofPlugin(await contents(folder)))).buffer;
    return { name: [...folder.keys()][0]?.split("/")[0] ?? "", data, signature: "", sheet: await api.uploadPlugin(data, "", {}, []) };
  }
  const packages = files.filter((file) => !file.name.endsWith(".sig"));
  const [file] = packages;
  if (!file || packages.length > 1) throw new Error(texts.chooseOnePackageKsp);
  const signed = files.find((each) => each.name.endsWith(".sig"));
  if (signed && signed.size > MAX_SIGNATURE) throw new Error(texts.isTooLargeFor(signed.name));
  const signature = signed ? btoa(await signed.text()) : "";
  if (file.size > MAX_BYTES) throw new Error(texts.tooLarge(MAX_BYTES >> 20));
  const bytes = new Uint8Array(await file.arrayBuffer());
  const data = file.name.endsWith(".zip") && !isPackage(bytes) ? (await pack(ofPlugin(await unzip(bytes)))).buffer : bytes.buffer;
  return { name: file.name, data, signature, sheet: await api.uploadPlugin(data, signature, {}, []) };
}

export function InstallPlugin({ done }: { done: () => void }) {
  const [isOver, setOver] = useState(false);
  const [error, setError] = useState("");
  const [offer, setOffer] = useState<Offer | null>(null);
  const chooser = useRef<HTMLInputElement>(null);
  const folders = useRef<HTMLInputElement>(null);
  const take = (what: Promise<Dropped>): void => {
    setError("");
    what.then((found) => (found.files.length || found.folder.size ? look(found).then(setOffer) : undefined)).catch((failed: Error) => setError(failed.message));
  };
  return (
    <section class="card" aria-labelledby="install-title">
      <h2 id="install-title">{texts.installAPlugin}</h2>
      <div class="drop" data-over={isOver || undefined}
        onDragOver={(event) => { event.preventDefault(); setOver(true); }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => { event.preventDefault(); setOver(false); take(dropped(event.dataTransfer)); }}>
        <p>{texts.dropAPackageHere(<code>{texts.kubesharkPluginPack}</code>)}</p>
        <button type="button" class="primary" onClick={() => chooser.current?.click()}><Icon name="upload" />{texts.chooseAPackage}</button>
        <button type="button" onClick={() => folders.current?.click()}>{texts.chooseAFolder}</button>
        <input ref={chooser} type="file" multiple hidden accept=".ksp,.zip,.sig" aria-label={texts.packageToInstall} onChange={(event) => { take(Promise.resolve({ files: [...(event.currentTarget.files ?? [])], folder: new Map() })); event.currentTarget.value = ""; }} />
        <input ref={folders} type="file" hidden {...{ webkitdirectory: true }} aria-label={texts.folderToInstall} onChange={(event) => { take(Promise.resolve(chosen(event.currentTarget.files ?? []))); event.currentTarget.value = ""; }} />
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
      say(texts.isInstalled(sheet.id, sheet.version));
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
    <Dialog title={texts.install(sheet.id, sheet.version)} onClose={close}>
      {sheet.description && <p>{sheet.description}</p>}
      <dl class="tiles">
        <div class="minor"><dt>{texts.language}</dt><dd>{sheet.language}</dd></div>
        <div class="minor"><dt>{texts.hooks}</dt><dd>{sheet.hooks.join(", ") || texts.none}</dd></div>
        <div class="minor"><dt>{texts.replaces}</dt><dd>{sheet.replaces || texts.nothing}</dd></div>
        <div class="minor"><dt>{texts.signedBy}</dt><dd>{sheet.signer || texts.nobodyTrusted}</dd></div>
      </dl>
      <p class="dim">{texts.sha256OfIts} <code>{sheet.digest}</code></p>
      <fieldset class="plain">
        <legend>{asked.length ? texts.itAsksForThese : texts.itAsksForNo}</legend>
        {asked.map(({ kind, value, key }) => value === "*"
          ? <label key={key} class="check">{kind}{texts.whichOnesYouSay} <input value={free[kind] ?? ""} placeholder={texts.none} onInput={(event) => setFree({ ...free, [kind]: event.currentTarget.value })} /></label>
          : <label key={key} class="check"><input type="checkbox" checked={grants.has(key)} onChange={() => toggle(key)} /> {kind}: <code>{value}</code></label>)}
      </fieldset>
      {sheet.doubt && <p class="warn">{texts.it} {sheet.doubt}.</p>}
      {sheet.doubt && <label class="check"><input type="checkbox" checked={isUnsigned} onChange={(event) => setUnsigned(event.currentTarget.checked)} /> {texts.installItAlthoughNobody}</label>}
      {sheet.replaces && error && <label class="check"><input type="checkbox" checked={isDowngrade} onChange={(event) => setDowngrade(event.currentTarget.checked)} /> {texts.alsoIfItIs} {sheet.replaces}</label>}
      {error && <p class="bad" role="alert">{error}</p>}
      <p class="buttons">
        <button type="button" class="primary" disabled={sheet.doubt !== "" && !isUnsigned} onClick={() => void install()}>{texts.installPlugin}</button>
        <button type="button" onClick={close}>{texts.cancel}</button>
      </p>
    </Dialog>
  );
}
