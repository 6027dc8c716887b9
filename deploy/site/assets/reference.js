// Shows the API document that is in the page, in the colours of the site. Redoc reckons with colours, so that it is given them as
// numbers, for the scheme that the reader prefers.
"use strict";

const scheme = matchMedia("(prefers-color-scheme: dark)");
const sans = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", sans-serif';
const mono = 'ui-monospace, "SF Mono", "Cascadia Code", "JetBrains Mono", Menlo, Consolas, "Liberation Mono", monospace';

function theme(dark) {
  const pick = (light, other) => (dark ? other : light);
  const text = pick("#18212c", "#e3e9f0"), muted = pick("#566272", "#9aa8b8"), accent = pick("#2451c0", "#8ab0ff");
  const ground = pick("#f5f6f8", "#0e1217"), surface = pick("#ffffff", "#151b22"), line = pick("#dde2e8", "#28323d");
  return {
    colors: {
      primary: { main: accent },
      success: { main: pick("#0f7048", "#62d29c") },
      warning: { main: pick("#8a5000", "#f3b755") },
      error: { main: pick("#b81f2b", "#ff8f8f") },
      text: { primary: text, secondary: muted },
      border: { dark: line, light: line },
      responses: {
        success: { color: pick("#0f7048", "#62d29c"), backgroundColor: pick("#e3f3eb", "#14302a") },
        error: { color: pick("#b81f2b", "#ff8f8f"), backgroundColor: pick("#fce6e7", "#421b20") },
        redirect: { color: pick("#8a5000", "#f3b755"), backgroundColor: pick("#fdf0d9", "#3a2b10") },
        info: { color: pick("#08608f", "#7cc9f7"), backgroundColor: pick("#e0f0fa", "#12303f") },
      },
    },
    schema: { nestedBackground: surface, typeNameColor: muted, typeTitleColor: muted, labelsTextSize: "0.85em", linesColor: pick("#8a95a3", "#5f6d7d") },
    typography: {
      fontSize: "14px", fontFamily: sans, headings: { fontFamily: sans, fontWeight: "650" },
      code: { fontFamily: mono, fontSize: "13px", color: text, backgroundColor: pick("#f0f2f5", "#1d2530"), wrap: true },
      links: { color: accent, visited: accent, hover: accent },
    },
    sidebar: { backgroundColor: surface, textColor: text, activeTextColor: accent, width: "17rem" },
    rightPanel: {
      backgroundColor: pick("#1d2530", "#151b22"), textColor: "#e3e9f0",
      servers: { overlay: { backgroundColor: surface, textColor: text }, url: { backgroundColor: ground } },
    },
    fab: { backgroundColor: surface, color: accent },
    codeBlock: { backgroundColor: "#0e1217" },
  };
}

Redoc.init(
  JSON.parse(document.getElementById("document").textContent),
  {
    theme: theme(scheme.matches),
    scrollYOffset: ".bar",
    hideDownloadButtons: true,
    jsonSamplesExpandLevel: 3,
    requiredPropsFirst: true,
  },
  document.getElementById("main"),
);
scheme.addEventListener("change", () => location.reload()); // Redoc cannot be told; its place in the document is in the address
