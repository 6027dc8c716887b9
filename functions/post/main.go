// Command post is the Lambda function that creates users.
package main

import "github.com/userrequestapi/userdata/shared/function"

func main() { function.Start(create) }
