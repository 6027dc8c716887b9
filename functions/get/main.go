// Command get is the Lambda function that retrieves users: one by its id, or all of them page by page.
package main

import "github.com/userrequestapi/userdata/shared/function"

func main() { function.Start(retrieve) }
