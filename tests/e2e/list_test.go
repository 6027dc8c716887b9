package e2e_test

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

var nextLink = regexp.MustCompile(`^<(/[^>]*)>; rel="next"$`)

// page is a page of the list.
type page struct {
	ids  []string
	next string // "" on the last page
	link string // path and query of the Link header, below the stage; "" on the last page
}

func getPage(t *testing.T, s *stacktest.TestStack, path string) page {
	t.Helper()
	r := s.Do(t, "GET", path, "").Want(t, 200)
	wantHeaders(t, r, stacktest.Headers{"Content-Type": "application/json", "Cache-Control": "no-store", "ETag": ""})
	body := r.JSON(t)
	items, ok := body["items"].([]any)
	if !ok {
		t.Fatalf("got %.200s, want a page with items", r.Body)
	}
	var p page
	for _, item := range items {
		user, _ := item.(map[string]any)
		id, _ := user["userId"].(string)
		p.ids = append(p.ids, id)
	}
	names := []string{"items"}
	if header := r.Header.Get("Link"); header != "" {
		names = append(names, "next")
		p.next, _ = body["next"].(string)
		target := nextLink.FindStringSubmatch(header)
		if target == nil {
			t.Fatalf("Link = %s, want a match of %s", header, nextLink)
		}
		base, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		p.link = strings.TrimPrefix(target[1], base.Path)
		reference, err := url.Parse(p.link)
		if err != nil || p.next == "" || reference.Query().Get("cursor") != p.next {
			t.Errorf("next = %q, Link = %s, want the same cursor", p.next, header)
		}
	}
	if got := stacktest.Names(body); !slices.Equal(names, got) {
		t.Errorf("members of the page = %v, want %v", got, names)
	}
	return p
}

// TestList lists a thousand users page by page, while others are created and deleted.
func TestList(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	if r := s.Do(t, "GET", "/users", "").Want(t, 200); string(r.Body) != `{"items":[]}` || r.Header.Get("Link") != "" {
		t.Errorf("empty table: body = %s, Link = %q, want no items and no Link", r.Body, r.Header.Get("Link"))
	}
	want := fill(t, s.Items, 1000)

	head := s.Do(t, "HEAD", "/users?limit=3", "").Want(t, 200)
	if d := gocmp.Diff(lasting(s.Do(t, "GET", "/users?limit=3", "").Header), lasting(head.Header)); d != "" || len(head.Body) != 0 {
		t.Errorf("HEAD: body of %d bytes, header (-GET +HEAD):\n%s", len(head.Body), d)
	}
	if got := getPage(t, s, "/users"); len(got.ids) != 25 || got.next == "" {
		t.Errorf("without limit: got %d users, next = %q, want 25 and another page", len(got.ids), got.next)
	}

	for _, limit := range []int{13, 50, 99, 100} {
		for _, by := range []string{"cursor", "link"} {
			t.Run(fmt.Sprintf("%d by %s", limit, by), func(t *testing.T) {
				t.Parallel()
				if limit == 13 { // 77 pages
					testenv.SkipUnlessAll(t)
				}
				var got []string
				path := fmt.Sprintf("/users?limit=%d", limit)
				for range 2 * len(want) {
					p := getPage(t, s, path)
					if len(p.ids) > limit {
						t.Errorf("got a page of %d users, want at most %d", len(p.ids), limit)
					}
					got = append(got, p.ids...)
					if p.next == "" {
						break
					}
					path = p.link
					if by == "cursor" {
						path = fmt.Sprintf("/users?limit=%d&cursor=%s", limit, url.QueryEscape(p.next))
					}
					// A user that does not exist from the first page to the last may be listed or not.
					passing := s.Do(t, "POST", "/users", usertest.Body(t, `{}`)).Want(t, 201)
					s.Do(t, "DELETE", userPath(t, passing), "").Want(t, 204)
				}
				got = slices.DeleteFunc(got, func(id string) bool { return !want[id] })
				slices.Sort(got)
				if d := gocmp.Diff(slices.Sorted(maps.Keys(want)), got); d != "" {
					t.Errorf("users on all pages (-want +got):\n%s", d)
				}
			})
		}
	}
}

// fill puts count items into the table and returns their IDs.
func fill(t *testing.T, items stacktest.Items, count int) map[string]bool {
	t.Helper()
	const batch = 25 // limit of BatchWriteItem
	ids := map[string]bool{}
	for len(ids) < count {
		var writes []types.WriteRequest
		for range min(batch, count-len(ids)) {
			id := fmt.Sprintf("user-%d", len(ids))
			ids[id] = true
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: valid(t, id)}})
		}
		out, err := items.DynamoDB.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{items.TableName: writes},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.UnprocessedItems) > 0 {
			t.Fatalf("got unprocessed items %v, want none", out.UnprocessedItems)
		}
	}
	return ids
}

// TestListLarge lists users that are much larger in JSON than in the table: one page with all of them would exceed
// Lambda's response limit.
func TestListLarge(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	want := []string{"a", "b", "c"}
	control := strings.Repeat("\x01", 150_000) // six bytes each in JSON
	for _, id := range want {
		item := valid(t, id)
		item["control"] = str(control)
		s.PutItem(t, item)
	}
	var got []string
	pages := 0
	for path := "/users?limit=100"; path != ""; pages++ {
		p := getPage(t, s, path)
		got = append(got, p.ids...)
		path = p.link
	}
	if pages < 2 {
		t.Errorf("got %d page, want at least 2", pages)
	}
	slices.Sort(got)
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("users on %d pages (-want +got):\n%s", pages, d)
	}
	user := s.Do(t, "GET", "/users/a", "").Want(t, 200)
	if got := user.JSON(t)["control"]; got != control {
		t.Errorf("control = %.20q…, want %.20q…, as stored", got, control)
	}
	s.Do(t, "PUT", "/users/a", string(user.Body)).Want(t, 200)
}
