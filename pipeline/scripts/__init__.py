"""Kubeshark scripts: plain `.js` files with global hooks, run beside the flow (docs/plugins/scripts.md, ADR 13)."""
