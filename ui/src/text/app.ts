/** Texts of app.tsx. */

import type { Value } from "./_types";

export const texts = {
  names: { traffic: "Traffic", map: "Map", captures: "Captures", plugins: "Plugins", settings: "Settings", firewall: "Firewall", workers: "Workers", timeline: "Timeline" },
  thisPartOfThe: "This part of the page could not be loaded: reload the page.",
  loading: "Loading …",
  skipToTheContent: "Skip to the content",
  kubeshark: "kubeshark",
  views: "Views",
  rulesOfTheHub: "Rules of the hub hide parts of what is shown",
  redacted: "redacted",
  themeT: (theme: Value): string => `Theme: ${theme} (t)`,
  themeChange: (theme: Value): string => `Theme: ${theme}. Change`,
  help: "Help (?)",
  helpKeysAndFilter: "Help: keys and filter language",
  link: { connecting: "connecting", open: "connected", lost: "reconnecting: rows stay", out: "signed out" },
  dismiss: "Dismiss",
} as const;
