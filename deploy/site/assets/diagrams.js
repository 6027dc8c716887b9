// Draws the diagrams of a page, anew where the reader prefers another colour scheme. Without this, their source is shown.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const diagrams = [...document.querySelectorAll("pre:has(> code.language-mermaid)")].map((source) => {
  const figure = document.createElement("figure");
  figure.className = "diagram";
  return { source, figure, text: source.textContent };
});

function colors() {
  const pick = (light, other) => (dark.matches ? other : light);
  return {
    background: pick("#ffffff", "#151b22"), mainBkg: pick("#e8eefc", "#1c2b4a"), primaryColor: pick("#e8eefc", "#1c2b4a"),
    primaryTextColor: pick("#18212c", "#e3e9f0"), textColor: pick("#18212c", "#e3e9f0"), titleColor: pick("#566272", "#9aa8b8"),
    primaryBorderColor: pick("#2451c0", "#8ab0ff"), nodeBorder: pick("#2451c0", "#8ab0ff"), lineColor: pick("#566272", "#9aa8b8"),
    clusterBkg: pick("#f5f6f8", "#0e1217"), clusterBorder: pick("#8a95a3", "#5f6d7d"), edgeLabelBackground: pick("#ffffff", "#151b22"),
    fontFamily: "system-ui, sans-serif", fontSize: "14px",
  };
}

async function draw() {
  mermaid.initialize({ startOnLoad: false, theme: "base", darkMode: dark.matches, themeVariables: colors() });
  for (const [n, { source, figure, text }] of diagrams.entries()) {
    figure.innerHTML = (await mermaid.render(`diagram-${n}`, text)).svg;
    source.replaceWith(figure);
  }
}

dark.addEventListener("change", draw);
draw();
