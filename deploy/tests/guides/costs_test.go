package guides_test

import (
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/aws/price"
)

// monthly computes what the script in docs/costs.md computes, from the list prices of the tools.
func monthly(v map[string]float64) float64 {
	prices, _ := price.In("us-east-1")
	requests := v["requests"]
	sampled := min(requests, v["reservoir"]*2_628_000)
	return requests*prices.APIGatewayRequest +
		requests*prices.LambdaRequest +
		requests*v["ms"]/1000*v["mb"]/1024*prices.LambdaGBSecond["arm64"] +
		requests*math.Ceil(v["kb"]/4)*prices.DynamoDBRead +
		requests*v["writes"]*math.Ceil(v["kb"])*prices.DynamoDBWrite +
		v["gb"]*(prices.DynamoDBStorageMonth+prices.DynamoDBBackupMonth) +
		requests*2.3/1e6*prices.LogIngestion +
		(sampled+(requests-sampled)*v["rate"])*prices.Trace +
		requests*v["kb"]/1e6*prices.DataOut +
		v["fixed"]
}

// TestCosts runs the script in docs/costs.md with the values in the table below it, and compares the results with the
// table and with the list prices of the tools.
func TestCosts(t *testing.T) {
	t.Parallel()
	p := guide(t, "docs/costs.md")
	script := p.blocks[0].text
	setting := regexp.MustCompile(`-v (\w+)=([0-9.]+)`)
	count := 0
	for _, r := range p.rows {
		if r.columns[0] != "values" {
			continue
		}
		count++
		t.Run(r.cells[0][0], func(t *testing.T) {
			t.Parallel()
			values := settings(t, setting, script, r.cells[0][0])
			command := setting.ReplaceAllStringFunc(script, func(found string) string {
				name := setting.FindStringSubmatch(found)[1]
				return fmt.Sprintf("-v %s=%s", name, strconv.FormatFloat(values[name], 'f', -1, 64))
			})
			out, err := exec.CommandContext(t.Context(), "bash", "-c", command).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			fields := strings.Fields(string(out))
			want := fmt.Sprintf("%.2f", monthly(values))
			if got := fields[len(fields)-1]; got != want || r.cells[1][0] != want {
				t.Errorf("the script prints %s, the page has %s, want %s\n%s", got, r.cells[1][0], want, out)
			}
		})
	}
	if count < 5 {
		t.Errorf("got %d rows with values, want at least 5", count)
	}
}

// settings returns the values in the script, changed by those in the form name=value.
func settings(t *testing.T, setting *regexp.Regexp, script, changes string) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	set := func(name, digits string) {
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			t.Fatal(err)
		}
		values[name] = n
	}
	for _, found := range setting.FindAllStringSubmatch(script, -1) {
		set(found[1], found[2])
	}
	for change := range strings.FieldsSeq(changes) {
		name, digits, _ := strings.Cut(change, "=")
		if _, ok := values[name]; !ok {
			t.Fatalf("the script has no variable %s", name)
		}
		set(name, digits)
	}
	return values
}
