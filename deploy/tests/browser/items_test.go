package browser_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/tests/chromium"
)

// Expressions for the content of the page of items.
const (
	itemLinks = `[...document.querySelectorAll("#items a")].map((it) => it.textContent).sort().join(" ")`
	form      = `document.getElementById("text")?.value`
	hash      = `decodeURIComponent(location.hash)`
)

// enter replaces the text of the form of an item.
func enter(p *chromium.Page, text string) {
	p.Sees("#text", "")
	p.Text(`document.getElementById("text").select(), document.getElementById("text").focus()`)
	p.Insert(text)
}

// TestItems lists, reads, replaces and deletes users with the keyboard, with signed requests.
func TestItems(t *testing.T) {
	t.Parallel()
	const big = `"big": 12345678901234567890.12`
	s := start(t, capturing, stacktest.Parameters(map[string]string{"Authorization": "AWS_IAM"}))
	p := open(t, s, "_local/data/users")
	p.Sees("#items", "No items yet")
	p.Sees(`nav a[aria-current]`, "Users")
	p.Text(`document.querySelector(".skip").focus()`)
	p.Keys(kb.Enter)
	p.Want(`document.activeElement.id`, "main")
	p.Want(hash, "") // not the id of an item
	create := `fetch("/_local/stage/users", { method: "POST", headers: { "X-Requested-With": "test", "Content-Type": "application/json" }, body: %q })`
	for _, id := range []string{"ada", "grace"} {
		p.Text(fmt.Sprintf(create, `{"userId": "`+id+`", "name": "`+id+`", `+big+`}`))
	}
	p.Want(`(document.getElementById("reload").click(), `+itemLinks+`)`, "ada grace")
	p.Sees("#columns", "userId")
	p.Sees("#items td", "12345678901234567890.12")

	p.Keys("/grace" + kb.Enter)
	p.Want(hash, "#grace")
	p.Sees("#item h2", "grace")
	p.Want(form+`.includes('\n  `+big+`')`, "true")
	enter(p, `{"name": "Rear Admiral", `+big+`}`)
	p.Click(".primary")
	p.Sees("#message", "Saved.")
	p.Want(form+`.includes("Rear Admiral")`, "true")
	p.Sees("#item code", `"`) // the new ETag

	// Another client changes the user: nothing is lost, and nothing is overwritten by accident.
	p.Text(`fetch("/_local/stage/users/grace", { method: "PUT", headers: { "X-Requested-With": "test", "Content-Type": "application/json" },
		body: '{"name": "theirs"}' }).then(() => { window.replaced = true; })`)
	p.Want("window.replaced", "true")
	p.Allow("status of 412")
	enter(p, `{"name": "mine"}`)
	p.Click(".primary")
	p.Sees("#message .verdict", "PreconditionFailed")
	p.Sees("#message .current", `"name": "theirs"`)
	p.Want(form, `{"name": "mine"}`)
	p.Want(focused, "Show this version")
	p.LooksEverywhere("items-conflict")
	p.Keys(kb.Tab)
	p.Want(focused, "Save mine instead")
	p.Keys(kb.Enter)
	p.Sees("#message", "Saved.")
	p.Want(form+`.includes("mine")`, "true")
	p.Want(focused, "Save")

	p.Keys(kb.Tab + kb.Enter)
	p.Sees("dialog[open]", "Delete grace?")
	p.Want(focused, "Cancel")
	p.LooksEverywhere("items-delete")
	p.Keys(kb.Escape)
	p.Want(`document.querySelector("dialog")?.open ?? false`, "false")
	p.Want(focused, "Delete") // where it was before
	p.Keys(kb.Enter)
	p.Sees("dialog[open]", "Delete grace?")
	p.Keys(kb.Tab + kb.Enter)
	p.Sees("#message", "Deleted grace.")
	p.Want(itemLinks, "ada")
	p.Want(focused, "ada")
	p.Keys(kb.Enter)
	p.Want(hash, "#ada")
	enter(p, `{"name": "changed"}`)
	p.Keys(kb.Escape + kb.Escape) // leaves the field, then the item
	p.Sees("dialog[open]", "Discard your changes?")
	p.Keys(kb.Tab + kb.Enter)
	p.Want(hash, "")
	p.Want(focused, "ada") // where it was before
	p.Keys(kb.Enter)
	p.Allow("status of 400")
	p.Want(hash, "#ada")
	p.Sees("#item h2", "ada")
	enter(p, "{")
	p.Click(".primary")
	p.Sees("#message .verdict", "InvalidBody")
	p.Want(`document.querySelector("#message .verdict a").pathname.startsWith("/_local/requests/")`, "true")
	p.Text(`history.back()`)
	p.Sees("dialog[open]", "Discard your changes?")
	p.Keys(kb.Enter) // Cancel
	p.Want(hash, "#ada")
	p.Want(form, "{")
	p.Text(`document.activeElement.blur()`)
	p.Keys(kb.Escape)
	p.Sees("dialog[open]", "Discard your changes?")
	p.Keys(kb.Tab + kb.Enter)
	p.Want(itemLinks, "ada")
}

// TestItems_Paging follows the links to the next pages, and shows the page in both color schemes and two widths.
func TestItems_Paging(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	s := start(t)
	for i := range 30 {
		s.Do(t, "POST", "/users", fmt.Sprintf(`{"userId": "user-%02d", "name": "A name of a user", "email": "user-%[1]d@example.org"}`, i)).Want(t, 201)
	}
	const count = `document.querySelectorAll("#items a").length`
	p := open(t, s, "_local/data/users")
	p.Want(count, "25")
	p.Click("#next")
	p.Want(count, "5")
	p.Sees("#count", "5 items, page 2")
	p.Want(`document.activeElement === document.querySelector("#items a")`, "true")
	p.Want(`document.getElementById("next").disabled`, "true")
	p.Keys(kb.Enter)
	p.Sees("#item h2", "user-")
	p.Do(chromedp.NavigateBack())
	p.Sees("#count", "5 items, page 2")
	p.Do(chromedp.Reload())
	p.Sees("#count", "5 items, page 2")
	p.Do(chromedp.NavigateBack())
	p.Sees("#count", "25 items, page 1")
	p.Click("#next")
	p.Sees("#count", "5 items, page 2")
	p.Click("#previous")
	p.Want(count, "25")
	for _, l := range []look{{1280, "light"}, {1280, "dark"}, {400, "light"}, {400, "dark"}} {
		p.Scheme(l.scheme)
		p.Do(chromedp.EmulateViewport(l.width, 900), chromedp.Navigate(s.Console+"_local/data/users"))
		p.Want(count, "25")
		name := fmt.Sprintf("%d-%s", l.width, l.scheme)
		p.Looks("items-" + name)
		if got := p.Text(clipped); got != "0" {
			t.Errorf("%s: got %s tables that are partly visible, want none", name, got)
		}
		p.Click("#items a")
		p.Sees("#item h2", "user-")
		p.Looks("item-" + name)
	}
}
