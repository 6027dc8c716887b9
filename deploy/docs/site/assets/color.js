// Returns a color of site.css in the preferred color scheme, in numeric form for scripts.
"use strict";

function color(name) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
