package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/stage"
	"github.com/userrequestapi/userdata/deploy/template"
)

// queryName is the end of the name of the saved query with the latencies of each function.
const queryName = "/Cold and warm latency"

func onDeployed(ctx context.Context, s Settings, opened *stage.Stage) error {
	release, err := opened.Deployed(ctx)
	if err != nil {
		return err
	}
	resources, err := release.Template.Resolve(template.PseudoParameters{
		Region: opened.Account.Region, AccountID: opened.Account.ID, Partition: opened.Account.Partition,
		StackName: opened.StackName(),
	})
	if err != nil {
		return fmt.Errorf("read the template of the stage: %w", err)
	}
	target := Target{URL: opened.InvokeURL(release, s.InvokeURL), Document: opened.Source.Contract()}
	if target.Caller, err = opened.Caller(ctx, release, s.Token); err != nil {
		return err
	}
	if err := target.Caller.Check(); err != nil {
		return exitcode.With(exitcode.Settings, err)
	}
	if client, ok := opened.Account.Config.HTTPClient.(*awshttp.BuildableClient); ok { // has AWS_CA_BUNDLE
		target.Transport = client.GetTransport() // a copy
	}
	if err := s.confirm(ctx, opened, resources); err != nil {
		return err
	}
	return send(ctx, s, target, func(report *Report) (err error) {
		report.Functions, err = s.latencies(ctx, opened, resources, report)
		return err
	})
}

// confirm shows the bill, and returns an error unless the user accepts it.
func (s Settings) confirm(ctx context.Context, opened *stage.Stage, resources *template.Resources) error {
	bill := Estimate(resources, opened.Account.Region, s.Options)
	s.Printer.Stepf("The estimated bill of this load is $%.2f", bill.Total)
	s.Printer.Notef("%s", bill.Text())
	if limit := resources.API().ThrottlingRateLimit; limit > 0 && float64(s.Rate) > limit {
		s.Printer.Notef("RATE is above the throttling rate limit of the stage, %.0f requests a second", limit)
	}
	accept := opened.Command("load", confirmSetting+"=1", fmt.Sprintf("RATE=%d", s.Rate), "DURATION="+s.Duration.String())
	switch {
	case s.Yes:
		return nil
	case s.Ask == nil:
		return exitcode.Errorf(exitcode.Refused, "a load on a deployed stage costs money, and there is no terminal to ask: "+
			"accept the bill with %s", accept)
	}
	reply, err := s.Ask(ctx, "Send this load? [y/N] ")
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"y", "yes"}, strings.ToLower(reply)) {
		return exitcode.Errorf(exitcode.Refused, "nothing was sent; %s sends it without asking", accept)
	}
	return nil
}

// latencies returns the cold and warm latencies of each function during the load, according to the saved query. They
// are nil if the stage does not have it.
func (s Settings) latencies(
	ctx context.Context, opened *stage.Stage, resources *template.Resources, report *Report,
) ([]Function, error) {
	queries := resources.Queries()
	i := slices.IndexFunc(queries, func(q template.Query) bool { return strings.HasSuffix(q.Name, queryName) })
	if i < 0 {
		s.Printer.Notef("the stage has no saved query *%s, so there are no latencies by function: deploy it with %s, "+
			"with the parameter Monitoring true", queryName, opened.Command("deploy"))
		return nil, nil
	}
	query := queries[i]
	delay := cmp.Or(s.QueryDelay, queryDelay)
	s.Printer.Stepf("Reading the latencies of the functions with the query %s", query.Name)
	s.Printer.Notef("waiting %v for the last log lines", delay)
	ended := time.Now()
	if err := wait(ctx, delay); err != nil {
		return nil, err
	}
	client := cloudwatchlogs.NewFromConfig(opened.Account.Config)
	rows, err := s.query(ctx, client, query, report.Began, ended)
	if err != nil {
		return nil, fmt.Errorf("read the latencies of the functions: %w", awserrors.Explain(err))
	}
	var functions []Function
	for _, row := range rows {
		functions = append(functions, parseRow(row, resources))
	}
	return functions, nil
}

const (
	// Log lines can be searched some seconds after they were written.
	queryDelay = 30 * time.Second
	queryPoll  = 2 * time.Second
)

// query runs a saved query.
func (s Settings) query(ctx context.Context, client *cloudwatchlogs.Client, query template.Query, from, to time.Time,
) ([][]types.ResultField, error) {
	started, err := client.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{
		LogGroupNames: query.LogGroups, QueryString: &query.Text,
		StartTime: aws.Int64(from.Unix()), EndTime: aws.Int64(to.Unix() + 1),
	})
	if err != nil {
		return nil, err
	}
	for {
		out, err := client.GetQueryResults(ctx, &cloudwatchlogs.GetQueryResultsInput{QueryId: started.QueryId})
		if err != nil {
			return nil, err
		}
		switch out.Status {
		case types.QueryStatusComplete:
			return out.Results, nil
		case types.QueryStatusScheduled, types.QueryStatusRunning:
		default:
			return nil, errors.New("the query ended with the status " + string(out.Status))
		}
		if err := wait(ctx, cmp.Or(s.Poll, queryPoll)); err != nil {
			return nil, err
		}
	}
}

// parseRow returns the latencies in a row of the query. Values that are absent are 0.
func parseRow(row []types.ResultField, resources *template.Resources) Function {
	values := map[string]string{}
	for _, field := range row {
		values[aws.ToString(field.Field)] = aws.ToString(field.Value)
	}
	number := func(name string) float64 {
		n, _ := strconv.ParseFloat(values[name], 64)
		return n
	}
	f := Function{
		Name: values["@log"], Invocations: int(number("calls")), Cold: values["cold"] == "1" || values["cold"] == "true",
		Latency: Latency{P50: number("p50"), P90: number("p90"), P99: number("p99"), Max: number("longest")},
	}
	for _, function := range resources.Functions() { // @log is account:group
		if strings.HasSuffix(f.Name, ":"+function.Logging.Group) {
			f.Name = function.Name
		}
	}
	return f
}

// wait returns an error if ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
