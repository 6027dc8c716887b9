// Draws the diagrams of a page, and again when the preferred color scheme changes. Without it, their source is shown.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const diagrams = [...document.querySelectorAll("pre:has(> code.language-mermaid)")].map((source) => {
  const figure = document.createElement("figure");
  figure.className = "diagram";
  return { source, figure, text: source.textContent };
});

function colors() {
  const text = color("text"), muted = color("muted"), accent = color("accent"), surface = color("surface"), selected = color("selected");
  return {
    background: surface, mainBkg: selected, primaryColor: selected, primaryTextColor: text, textColor: text, titleColor: muted,
    primaryBorderColor: accent, nodeBorder: accent, lineColor: muted, clusterBkg: color("ground"), clusterBorder: color("edge"),
    edgeLabelBackground: surface, fontFamily: "system-ui, sans-serif", fontSize: "14px",
  };
}

async function draw() {
  mermaid.initialize({
    startOnLoad: false, suppressErrorRendering: true, theme: "base", darkMode: dark.matches, themeVariables: colors(),
  });
  for (const [n, { source, figure, text }] of diagrams.entries()) {
    try {
      figure.innerHTML = (await mermaid.render(`diagram-${n}`, text)).svg;
      source.replaceWith(figure);
    } catch (error) { // the page keeps its source
      console.error(error);
    }
  }
}

dark.addEventListener("change", draw);
draw();
