package client_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/userrequestapi/userdata/shared/client"
)

// invokeURL names the variable with the address of the stage that the examples call, such as http://127.0.0.1:3000/prod.
const invokeURL = "USERREQUESTAPI_URL"

func Example() {
	ctx := context.Background()
	c, err := client.New(os.Getenv(invokeURL))
	if err != nil {
		panic(err)
	}
	user, err := c.CreateUser(ctx, client.UserInput{
		UserID:               new("example-grace"),
		Name:                 new("Grace Hopper"),
		AdditionalProperties: map[string]json.RawMessage{"balance": json.RawMessage("12345678901234567890.12")},
	}, "")
	if err != nil {
		panic(err)
	}
	fmt.Println("created", user.UserID)

	user, err = c.GetUser(ctx, "example-grace")
	if err != nil {
		panic(err)
	}
	fmt.Println("read", *user.Name, string(user.AdditionalProperties["balance"]))

	input, err := user.Input()
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

// The same key makes the same user, however often the request is sent.
func ExampleClient_CreateUser() {
	ctx := context.Background()
	c, err := client.New(os.Getenv(invokeURL))
	if err != nil {
		panic(err)
	}
	key := rand.Text() // to be kept until the user is there
	first, err := c.CreateUser(ctx, client.UserInput{Name: new("Ada Lovelace")}, key)
	if err != nil {
		panic(err)
	}
	again, err := c.CreateUser(ctx, client.UserInput{Name: new("Ada Lovelace")}, key)
	if err != nil {
		panic(err)
	}
	fmt.Println("the same user:", first.UserID == again.UserID, again.Replayed)

	if err := c.DeleteUser(ctx, first.UserID, ""); err != nil {
		panic(err)
	}
	// Output: the same user: true true
}

// Another client writes in between, once, and no write is lost.
func ExampleClient_UpdateUser() {
	ctx := context.Background()
	c, err := client.New(os.Getenv(invokeURL))
	if err != nil {
		panic(err)
	}
	if _, err := c.CreateUser(ctx, client.UserInput{UserID: new("example-ada"), Name: new("Ada Byron")}, ""); err != nil {
		panic(err)
	}
	attempts := 0
	user, err := c.UpdateUser(ctx, "example-ada", func(user *client.UserInput) error {
		attempts++
		if attempts == 1 {
			other := client.UserInput{Name: new("Ada King"), Email: new("ada@example.org")}
			if _, err := c.ReplaceUser(ctx, "example-ada", other, ""); err != nil {
				return err
			}
		}
		user.Name = new("Ada Lovelace")
		return nil
	})
	if client.OutcomeUnknown(err) {
		// The service could not tell whether the change was made, as after a 500. Read the user to find out. Call
		// again only if it was not made, and if it does no harm twice: to set a name does none, to count up does.
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

// Pages are read as they are needed: no more of them after the last user that is looked for.
func ExampleClient_Users() {
	ctx := context.Background()
	c, err := client.New(os.Getenv(invokeURL))
	if err != nil {
		panic(err)
	}
	made := map[string]bool{}
	for range 3 {
		user, err := c.CreateUser(ctx, client.UserInput{}, "")
		if err != nil {
			panic(err)
		}
		made[user.UserID] = true
	}
	found := 0
	for user, err := range c.Users(ctx, 100) {
		if err != nil {
			panic(err)
		}
		if made[user.UserID] {
			found++
		}
		if found == len(made) {
			break
		}
	}
	fmt.Println("found", found)

	for id := range made {
		if err := c.DeleteUser(ctx, id, ""); err != nil {
			panic(err)
		}
	}
	// Output: found 3
}

// A database that is busy (503), or a stage that has too many requests (429), says when to come again. Here that is done up to 8 times, in
// half a minute at most.
func ExampleWithRetries() {
	c, err := client.New(os.Getenv(invokeURL), client.WithRetries(8))
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	user, err := c.CreateUser(ctx, client.UserInput{Name: new("Katherine Johnson")}, "")
	if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Status == 503 {
		fmt.Println("still busy: try later")
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
	if problem, ok := errors.AsType[*client.Problem](err); ok {
		fmt.Println(problem.Status, problem.Code)
	}
	// Output: 404 UserNotFound
}
