package load

import (
	"fmt"
	"math"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/price"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Bill is the estimated price of a load on a deployed stage, in US dollars.
type Bill struct {
	Lines []BillLine `json:"lines"`
	Total float64    `json:"total"`
	Note  string     `json:"note"` // what the prices are
}

// BillLine is the part of a bill for one service.
type BillLine struct {
	Service  string  `json:"service"`
	Quantity string  `json:"quantity"`
	USD      float64 `json:"usd"`
}

// Usage per request, on the safe side. A query of the logs shows the actual values.
const (
	billedSeconds  = 0.025 // of a function
	logBytes       = 3000  // the lines of the function, of Lambda, and of API Gateway's two logs
	readsPerCall   = 1.0   // read request units of an item
	readsPerList   = 4.0   // of a page
	bytesPerGB     = 1 << 30
	megabytesPerGB = 1024
)

// Estimate returns the bill of a load on a stage with these resources in a Region.
func Estimate(resources *template.Resources, region string, options Options) Bill {
	prices, exact := price.In(region)
	requests := float64(options.requests())
	iterations := requests / requestsPerIteration
	items, lists := iterations*(listEvery-1)/listEvery, iterations/listEvery
	reads, writes := 2*items*readsPerCall+lists*readsPerList, 2*items // an item is read before it is deleted

	var gigabytes, perGBSecond float64 // the largest function
	for _, f := range resources.Functions() {
		gigabytes = max(gigabytes, float64(f.MemoryMB)/megabytesPerGB)
		perGBSecond = max(perGBSecond, prices.LambdaGBSecond[f.Architecture])
	}
	gbSeconds := requests * billedSeconds * gigabytes
	traces := sampled(resources.API(), requests, options.Duration.Seconds())
	logGB := requests * logBytes / bytesPerGB

	bill := Bill{Lines: []BillLine{
		{"API Gateway", fmt.Sprintf("%.0f requests", requests), requests * prices.APIGatewayRequest},
		{
			"Lambda", fmt.Sprintf("%.0f requests, %.0f GB-seconds", requests, gbSeconds),
			requests*prices.LambdaRequest + gbSeconds*perGBSecond,
		},
		{
			"DynamoDB", fmt.Sprintf("%.0f write and %.0f read request units", writes, reads),
			writes*prices.DynamoDBWrite + reads*prices.DynamoDBRead,
		},
		{"X-Ray", fmt.Sprintf("%.0f traces", traces), traces * prices.Trace},
		{"CloudWatch Logs", fmt.Sprintf("%.2f GB, and one query", logGB), logGB * (prices.LogIngestion + prices.LogQuery)},
	}}
	for _, line := range bill.Lines {
		bill.Total += line.USD
	}
	bill.Note = "list prices in US dollars, compared in " + price.Compared + ", without free tier, taxes and data transfer"
	if !exact {
		bill.Note += "; they are those of us-east-1, and " + region + " may differ"
	}
	return bill
}

// sampled returns the number of requests that are traced.
func sampled(api template.API, requests, seconds float64) float64 {
	if !api.Tracing {
		return 0
	}
	reserved := math.Min(requests, float64(api.Sampling.ReservoirSize)*seconds)
	return reserved + (requests-reserved)*api.Sampling.FixedRate
}

// Text returns the bill as a table.
func (b Bill) Text() string {
	var text strings.Builder
	for _, line := range b.Lines {
		fmt.Fprintf(&text, "%-16s %-45s $%.4f\n", line.Service, line.Quantity, line.USD)
	}
	fmt.Fprintf(&text, "%-16s %-45s $%.2f\n(%s)", "Total, about", "", b.Total, b.Note)
	return text.String()
}
