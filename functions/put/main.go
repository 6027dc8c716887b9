// Command put is the Lambda function that replaces users.
package main

import "github.com/userrequestapi/userdata/shared/function"

func main() { function.Start(replace) }
