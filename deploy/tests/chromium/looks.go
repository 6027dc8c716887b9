package chromium

// TooWide is an expression for the width in pixels by which a page exceeds its window.
const TooWide = `Math.max(0, document.scrollingElement.scrollWidth - innerWidth)`

// Covered is an expression that lists the controls in the header of a page that another element covers, or that are
// outside of the window. A dialog may cover them.
const Covered = `[...document.querySelectorAll("header.bar :is(a, button)")].filter((it) => {
	const { x, y, width, height } = it.getBoundingClientRect();
	return it.checkVisibility({ visibilityProperty: true }) && !document.querySelector("dialog[open]") &&
		!it.contains(document.elementFromPoint(x + width / 2, y + height / 2));
}).map((it) => it.textContent.trim()).join("\n")`

// LowContrast is an expression that lists text with a contrast of less than 4.5:1 (WCAG 2.2, "1.4.3 Contrast
// (Minimum)").
const LowContrast = `(() => {
	const channels = (color) => color.match(/[\d.]+/g).map(Number);
	const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
		.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
		.reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
	const behind = (element) => {
		for (let it = element; it; it = it.parentElement) {
			const [r, g, b, a = 1] = channels(getComputedStyle(it).backgroundColor);
			if (a === 1) return [r, g, b];
		}
		return [255, 255, 255];
	};
	const found = new Set();
	for (const element of document.querySelectorAll("body *:not(svg *, option, script)")) {
		const own = [...element.childNodes].some((it) => it.nodeType === Node.TEXT_NODE && it.data.trim());
		if (!own || !element.checkVisibility({ opacityProperty: true })) continue;
		const a = luminance(channels(getComputedStyle(element).color)), b = luminance(behind(element));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) found.add(element.className + " " + element.textContent.slice(0, 40) + " " + ratio.toFixed(2));
	}
	return [...found].join("\n");
})()`

// Inaccessible is an expression that lists controls and regions without an accessible name, duplicate and missing ids,
// headings that skip a level, dialogs that exceed the window, and a number of h1 elements other than one. It
// ignores the headings of Swagger UI and Redoc, and the regions of Redoc, which this project cannot change.
const Inaccessible = `[
	...[...document.querySelectorAll("a[href], button, input, select, textarea, summary, dialog[open], " +
		"[role=treeitem], [role=button], " +
		":is([role=group], [role=search], [tabindex='0']:not(pre, tr, label)):not(.redoc-wrap *)")].filter((it) =>
		it.type !== "hidden" && !it.closest("[hidden]") &&
		!(it.getAttribute("aria-label") || it.title || document.getElementById(it.getAttribute("aria-labelledby")) ||
			(!it.matches("select, textarea, [role=group], [role=search], dialog") && it.textContent.trim()) ||
			[...(it.labels ?? [])].some((label) => label.textContent.replace(it.textContent, "").trim())))
		.map((it) => it.outerHTML.slice(0, 200)),
	...[...document.querySelectorAll("[id]")].map((it) => it.id)
		.filter((id) => document.querySelectorAll("#" + CSS.escape(id)).length > 1),
	...["aria-labelledby", "aria-describedby", "for"].flatMap((name) =>
		[...document.querySelectorAll("[" + name + "]")].filter((it) => it.checkVisibility())
			.flatMap((it) => it.getAttribute(name).split(/\s+/)).filter((id) => !document.getElementById(id))
			.map((id) => name + "=" + id + " is missing")),
	...[...document.querySelectorAll(":is(h1, h2, h3, h4, h5, h6):not(.redoc-wrap *, .swagger-ui *)")]
		.filter((it) => it.checkVisibility()).filter((it, n, all) => n > 0 && it.tagName[1] - all[n - 1].tagName[1] > 1)
		.map((it) => it.tagName + " " + it.textContent + " skips a level"),
	...[...document.querySelectorAll("dialog[open]")].filter((it) => {
		const { top, left, right, bottom } = it.getBoundingClientRect();
		return top < 0 || left < 0 || right > innerWidth || bottom > innerHeight;
	}).map((it) => "the dialog exceeds the window: " + it.textContent),
	...(document.querySelectorAll("h1").length === 1 ? [] : ["not one h1"]),
].join("\n")`
