/** Texts of parts/plugin-install.tsx. */

import type { Piece, Value } from "./_types";

export const texts = {
  chooseOnePackageKsp: "choose one package (.ksp), and its .sig file if there is one",
  isTooLargeFor: (name: Value): string => `${name} is too large for a signature`,
  installAPlugin: "Install a plugin",
  dropAPackageHere: (code: Piece): Piece => ["Drop a package here (.ksp, as ", code, " makes it), with its .sig file if it is signed. Nothing of it runs before you agree."],
  kubesharkPluginPack: "kubeshark plugin pack",
  chooseAPackage: "Choose a package",
  packageToInstall: "Package to install",
  isInstalled: (id: Value, version: Value): string => `${id} ${version} is installed`,
  install: (id: Value, version: Value): string => `Install ${id} ${version}`,
  language: "Language",
  hooks: "Hooks",
  none: "none",
  replaces: "Replaces",
  nothing: "nothing",
  signedBy: "Signed by",
  nobodyTrusted: "nobody trusted",
  sha256OfIts: "SHA-256 of its contents:",
  itAsksForThese: "It asks for these; what is not chosen it does not get",
  itAsksForNo: "It asks for no permission",
  whichOnesYouSay: ", which ones you say:",
  it: "It",
  installItAlthoughNobody: "Install it although nobody who is trusted signed it",
  alsoIfItIs: "Also if it is older than",
  installPlugin: "Install",
  cancel: "Cancel",
} as const;
