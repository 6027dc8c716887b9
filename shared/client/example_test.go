package client_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/userrequestapi/userdata/shared/client"
)

// The environment variables of the examples.
const (
	invokeURL = "USERREQUESTAPI_URL"  // the invoke URL of a stage, such as http://127.0.0.1:3000/prod
	template  = "USERREQUESTAPI_USER" // a JSON object with the attributes that the API requires, if it requires any
)

// newUser returns a user with the attributes that the API requires.
func newUser(name string) client.UserInput {
	var input client.UserInput
	if err := json.Unmarshal([]byte(cmp.Or(os.Getenv(template), "{}")), &input); err != nil {
		panic(err)
	}
	input.Name = &name
	return input
}

func Example() {
	ctx := context.Background()
	c, err := client.New(os.Getenv(invokeURL))
	if err != nil {
		panic(err)
	}
	input := newUser("Grace Hopper")
	input.UserID = new("example-grace")
	input.Set("balance", json.RawMessage("12345678901234567890.12"))
	user, err := c.CreateUser(ctx, input, "")
	if err != nil {
		panic(err)
	}
	fmt.Println("created", user.UserID)

	user, err = c.GetUser(ctx, "example-grace")
	if err != nil {
		panic(err)
	}
	fmt.Println("read", *user.Name, string(user.AdditionalProperties["balance"]))

	input, err = user.Input()
	if err != nil {
		panic(err)
	}
	input.Name = new("Grace Brewster Hopper")
	user, err = c.ReplaceUser(ctx, user.UserID, input, user.ETag)
	if err != nil {
		panic(err)
	}
	fmt.Println("replaced", *user.Name)

	if err := c.DeleteUser(ctx, user.UserID, user.ETag); err != nil {
		panic(err)
	}
	fmt.Println("deleted")
	// Output:
	// created example-grace
	// read Grace Hopper 12345678901234567890.12
	// replaced Grace Brewster Hopper
	// deleted
}

// Requests with the same key and input create one user.
func ExampleClient_CreateUser() {
	ctx := context.Background()
	c, err := client.New(os.Getenv(invokeURL))
	if err != nil {
		panic(err)
	}
	key := rand.Text() // store it until the user is created
	first, err := c.CreateUser(ctx, newUser("Ada Lovelace"), key)
	if err != nil {
		panic(err)
	}
	again, err := c.CreateUser(ctx, newUser("Ada Lovelace"), key)
	if err != nil {
		panic(err)
	}
	fmt.Println("the same user:", first.UserID == again.UserID, again.Replayed)

	if err := c.DeleteUser(ctx, first.UserID, ""); err != nil {
		panic(err)
	}
	// Output: the same user: true true
}

// Another client writes once in between. No write is lost.
func ExampleClient_UpdateUser() {
	ctx := context.Background()
	c, err := client.New(os.Getenv(invokeURL))
	if err != nil {
		panic(err)
	}
	input := newUser("Ada Byron")
	input.UserID = new("example-ada")
	if _, err := c.CreateUser(ctx, input, ""); err != nil {
		panic(err)
	}
	attempts := 0
	user, err := c.UpdateUser(ctx, "example-ada", func(user *client.UserInput) error {
		attempts++
		if attempts == 1 {
			other := newUser("Ada King")
			other.Email = new("ada@example.org")
			if _, err := c.ReplaceUser(ctx, "example-ada", other, ""); err != nil {
				return err
			}
		}
		user.Name = new("Ada Lovelace")
		return nil
	})
	if client.OutcomeUnknown(err) {
		// The change may have been made, for example after a 500. Read the user to find out. Call again only if the
		// change is missing and can safely be made twice: a name can be set twice, a counter must not be incremented
		// twice.
		user, err = c.GetUser(ctx, "example-ada")
	}
	if err != nil {
		panic(err)
	}
	fmt.Println(*user.Name, *user.Email, "after", attempts, "attempts")

	if err := c.DeleteUser(ctx, "example-ada", user.ETag); err != nil {
		panic(err)
	}
	// Output: Ada Lovelace ada@example.org after 2 attempts
}

// Pages are requested as needed, none after a break.
func ExampleClient_Users() {
	ctx := context.Background()
	c, err := client.New(os.Getenv(invokeURL))
	if err != nil {
		panic(err)
	}
	created := map[string]bool{}
	for range 3 {
		user, err := c.CreateUser(ctx, newUser("Ada Lovelace"), "")
		if err != nil {
			panic(err)
		}
		created[user.UserID] = true
	}
	found := 0
	for user, err := range c.Users(ctx, 100) {
		if err != nil {
			panic(err)
		}
		if created[user.UserID] {
			found++
		}
		if found == len(created) {
			break
		}
	}
	fmt.Println("found", found)

	for id := range created {
		if err := c.DeleteUser(ctx, id, ""); err != nil {
			panic(err)
		}
	}
	// Output: found 3
}

// A busy database (503) or a stage with too many requests (429) sends Retry-After. This client retries up to 8 times,
// for at most 30 seconds.
func ExampleWithRetries() {
	c, err := client.New(os.Getenv(invokeURL), client.WithRetries(8))
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	user, err := c.CreateUser(ctx, newUser("Katherine Johnson"), "")
	if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Status == 503 {
		fmt.Println("still busy: try again later")
		return
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("created", *user.Name)

	if err := c.DeleteUser(ctx, user.UserID, user.ETag); err != nil {
		panic(err)
	}
	// Output: created Katherine Johnson
}

func ExampleProblem() {
	c, err := client.New(os.Getenv(invokeURL))
	if err != nil {
		panic(err)
	}
	_, err = c.GetUser(context.Background(), "example-nobody")
	if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Code == client.CodeUserNotFound {
		fmt.Println("no such user")
	}
	// Output: no such user
}
