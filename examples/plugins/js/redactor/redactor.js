// @ts-check
/// <reference path="../../../../extension_api/sdk/js/kubeshark.d.ts" />
// Hides secrets of HTTP before any filter sees them. What it hides in one place kubeshark hides everywhere in that entry.
"use strict";

const DIGITS = /(?<![0-9])(?:[0-9][ -]?){12,18}[0-9](?![0-9])/g; // a card number as people write it
const DEPTH = 32;

/** @type {{ headers: string[], keys: string[], cards: boolean }} */
let settings = { headers: [], keys: [], cards: true };

kubeshark.plugin({
  configure(values, out) {
    settings = { headers: values.headers, keys: values.keys.map((key) => key.toLowerCase()), cards: values.cards };
    for (const name of values.headers) {
      if (/["\\]/.test(name)) out.refuse(`${name} is no name of a header`);
    }
  },

  enrich(out, requestBody, responseBody, url) {
    const found = new Set();
    for (const name of settings.headers) {
      for (const half of ["request", "response"]) out.redact(`${half}.headers["${name}"]`);
    }
    for (const body of [requestBody, responseBody]) {
      for (const secret of secretsOf(body)) {
        out.redactText(secret);
        found.add("key");
      }
      for (const number of settings.cards ? cardsOf(body) : []) {
        out.redactText(number, "[card]");
        found.add("card");
      }
    }
    for (const key of settings.keys) {
      for (const [, value] of url.matchAll(new RegExp(`[?&]${escaped(key)}=([^&#]*)`, "gi"))) {
        for (const text of spellings(value)) out.redactText(text);
        found.add("query");
      }
    }
    if (found.size) {
      out.tag("redacted");
      out.set("redactor_found", [...found]);
    }
  },
});

/**
 * Texts under one of the keys, anywhere in a JSON body, or in a form.
 * @param {string} body
 * @returns {string[]}
 */
function secretsOf(body) {
  if (!/^\s*[[{]/.test(body)) {
    const pairs = body.length < 65536 && body.includes("=") ? body.split("&").map((pair) => pair.split("=")) : [];
    return pairs.filter(([key]) => settings.keys.includes(key.toLowerCase())).flatMap(([, value]) => spellings(value ?? ""));
  }
  const found = [];
  try {
    walk(JSON.parse(body), false, found, 0);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    for (const key of settings.keys) { // cut short, or no JSON: take what follows the key
      for (const [, value] of body.matchAll(new RegExp(`"${escaped(key)}"\\s*:\\s*"([^"]*)`, "gi"))) found.push(value);
    }
  }
  return found;
}

/**
 * @param {any} value
 * @param {boolean} isSecret
 * @param {string[]} found
 * @param {number} depth
 */
function walk(value, isSecret, found, depth) {
  if (depth > DEPTH) return;
  if (Array.isArray(value)) {
    for (const item of value) walk(item, isSecret, found, depth + 1);
  } else if (value !== null && typeof value === "object") {
    for (const [key, inner] of Object.entries(value)) {
      walk(inner, isSecret || settings.keys.includes(key.toLowerCase()), found, depth + 1);
    }
  } else if (isSecret && (typeof value === "string" || typeof value === "number")) {
    found.push(String(value));
  }
}

/** @param {string} text */
function cardsOf(text) {
  return [...text.matchAll(DIGITS)].map(([match]) => match).filter((match) => isCard(match.replace(/[ -]/g, "")));
}

/** Luhn's check digit (ISO/IEC 7812-1). @param {string} digits */
function isCard(digits) {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]);
    sum += i % 2 ? (digit > 4 ? 2 * digit - 9 : 2 * digit) : digit;
  }
  return sum % 10 === 0;
}

/** A value of a query string or a form as it is sent, and as it is meant. @param {string} value */
function spellings(value) {
  try {
    return [value, decodeURIComponent(value.replaceAll("+", " "))];
  } catch {
    return [value]; // a % that begins no escape
  }
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
