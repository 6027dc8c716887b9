// Renders the API document in the page with Redoc, in the colors of site.css.
"use strict";

const place = document.getElementById("redoc");

// Returns a color of site.css in the color scheme of the page, in numeric form.
function color(name) {
  const probe = place.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function theme() {
  const text = color("text"), muted = color("muted"), accent = color("accent"), surface = color("surface"), line = color("line");
  const response = (name) => ({ color: color(name), backgroundColor: color(`${name}-ground`) });
  const fontFamily = getComputedStyle(document.body).fontFamily;
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
      fontSize: "14px", fontFamily, headings: { fontFamily, fontWeight: "650" },
      code: { fontSize: "13px", color: text, backgroundColor: color("raised"), wrap: true },
      links: { color: accent, visited: accent, hover: accent },
    },
    sidebar: { backgroundColor: surface, textColor: text, activeTextColor: accent, width: "255px" },
    rightPanel: {
      backgroundColor: color("panel"), textColor: color("panel-text"),
      servers: { overlay: { backgroundColor: surface, textColor: text }, url: { backgroundColor: color("ground") } },
    },
    fab: { backgroundColor: surface, color: accent },
    codeBlock: { backgroundColor: color("panel-code") },
  };
}

// Redoc shows the code samples of this extension, which the published document does not have.
for (const [path, item] of Object.entries(openapi.paths)) {
  for (const [method, operation] of Object.entries(item)) {
    const list = samples[`${method.toUpperCase()} ${path}`];
    if (!list) continue;
    operation["x-codeSamples"] = list.map(({ label, language, code }) => ({ label, lang: language, source: code }));
  }
}

const ThemeWorker = Worker;
window.Worker = NativeWorker; // iframe-worker does not support the worker of Redoc
Redoc.init(
  openapi,
  {
    theme: theme(),
    sanitize: true,
    scrollYOffset: ".md-header",
    hideDownloadButtons: true,
    jsonSamplesExpandLevel: 3,
    requiredPropsFirst: true,
  },
  place,
  () => { window.Worker = ThemeWorker; },
);

// Redoc cannot change its colors, so the page is reloaded; the URL has the position in the document.
const scheme = document.body.dataset.mdColorScheme;
new MutationObserver(() => document.body.dataset.mdColorScheme === scheme || location.reload())
  .observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
