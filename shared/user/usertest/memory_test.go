package usertest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	usertest.Run(t, func(*testing.T) user.Store { return usertest.NewMemory() })
}

func TestNewMemory(t *testing.T) {
	t.Parallel()
	attributes := user.Attributes{"userId": "1", "n": user.Number("1"), "_by": "others"}
	store := usertest.NewMemory(attributes, user.Attributes{"userId": "2"})
	got, err := store.Get(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(user.User{Attributes: attributes, ETag: attributes.Hash()}, got); diff != "" {
		t.Errorf("user without revision (-want +got):\n%s", diff)
	}
	page, err := store.List(t.Context(), "1", 10)
	if err != nil || len(page.Users) != 1 || page.Users[0].ID() != "2" {
		t.Errorf("got page %v, error %v, want user 2", page, err)
	}
}

func TestMemory_InDoubt(t *testing.T) {
	t.Parallel()
	usertest.RunInDoubt(t, func(_ *testing.T, users ...user.Attributes) usertest.Lossy {
		m := usertest.NewMemory(users...)
		return usertest.Lossy{Store: m, Others: m, Lose: m.Lose}
	})
}
