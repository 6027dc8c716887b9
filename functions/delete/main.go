// Command delete is the Lambda function that deletes users.
package main

import "github.com/userrequestapi/userdata/shared/function"

func main() { function.Start(remove) }
