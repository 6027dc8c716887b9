// Command go prints a user of a stage that accepts signed requests only.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/userrequestapi/userdata/shared/client"
)

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx) // credentials as in the AWS CLI, and AWS_REGION
	if err != nil {
		log.Fatal(err)
	}
	api, err := client.New(os.Args[1], client.WithAuthorization(client.IAM(cfg.Credentials, cfg.Region)))
	if err != nil {
		log.Fatal(err)
	}
	user, err := api.GetUser(ctx, os.Args[2])
	if err != nil {
		log.Fatal(err) // such as: get a user: status 404 UserNotFound
	}
	_ = json.NewEncoder(os.Stdout).Encode(user)
}
