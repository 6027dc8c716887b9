// Renders the API document in the page with Redoc, in the colors of the site.
"use strict";

const sans = getComputedStyle(document.body).fontFamily;
const mono = getComputedStyle(document.documentElement).getPropertyValue("--mono");

function theme() {
  const text = color("text"), muted = color("muted"), accent = color("accent"), surface = color("surface"), line = color("line");
  const response = (name) => ({ color: color(name), backgroundColor: color(`${name}-ground`) });
  return {
    colors: {
      primary: { main: accent },
      success: { main: color("success") },
      warning: { main: color("warning") },
      error: { main: color("error") },
      text: { primary: text, secondary: muted },
      border: { dark: line, light: line },
      responses: { success: response("success"), error: response("error"), redirect: response("warning"), info: response("info") },
    },
    schema: { nestedBackground: surface, typeNameColor: muted, typeTitleColor: muted, labelsTextSize: "0.85em", linesColor: color("edge") },
    typography: {
      fontSize: "14px", fontFamily: sans, headings: { fontFamily: sans, fontWeight: "650" },
      code: { fontFamily: mono, fontSize: "13px", color: text, backgroundColor: color("raised"), wrap: true },
      links: { color: accent, visited: accent, hover: accent },
    },
    sidebar: { backgroundColor: surface, textColor: text, activeTextColor: accent, width: "17rem" },
    rightPanel: {
      backgroundColor: color("panel"), textColor: color("panel-text"),
      servers: { overlay: { backgroundColor: surface, textColor: text }, url: { backgroundColor: color("ground") } },
    },
    fab: { backgroundColor: surface, color: accent },
    codeBlock: { backgroundColor: color("panel-code") },
  };
}

Redoc.init(
  JSON.parse(document.getElementById("document").textContent),
  {
    theme: theme(),
    sanitize: true,
    scrollYOffset: ".bar",
    hideDownloadButtons: true,
    jsonSamplesExpandLevel: 3,
    requiredPropsFirst: true,
  },
  document.getElementById("main"),
);
// Redoc cannot change its colors, so the page is reloaded; the URL has the position in the document.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
