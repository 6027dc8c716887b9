package instant_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/bench/instant"
)

// call sends a request and returns the response, decoded.
func call(t *testing.T, client *http.Client, url, operation, body string) (status int, response any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &response); err != nil {
		t.Fatalf("%s: %v", content, err)
	}
	return res.StatusCode, response
}

func start(t *testing.T, certificate *tls.Certificate) *instant.Server {
	t.Helper()
	s, err := instant.Start(map[string][]string{"Users": {"id"}}, certificate)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestOperations(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.Record(true)
	call(t, http.DefaultClient, s.URL(), "PutItem", `{"TableName":"Users","Item":{"id":{"S":"1"},"n":{"N":"2"}}}`)
	s.Record(false)
	call(t, http.DefaultClient, s.URL(), "PutItem", `{"TableName":"Users","Item":{"id":{"S":"9"}}}`) // changes nothing
	const item = `{"id":{"S":"1"},"n":{"N":"2"}}`
	for _, test := range []struct {
		name, operation, body string
		status                int
		want                  string
	}{
		{"read", "GetItem", `{"TableName":"Users","Key":{"id":{"S":"1"}}}`, 200, `{"Item":` + item + `}`},
		{"read another item", "GetItem", `{"TableName":"Users","Key":{"id":{"S":"2"}}}`, 200, `{}`},
		{
			"read from another project's table", "GetItem", `{"TableName":"Products","Key":{"sku":{"S":"7"}}}`, 200,
			`{"Item":{"sku":{"S":"7"},"id":{"S":"1"},"n":{"N":"2"}}}`,
		},
		{
			"read with another project's key", "GetItem", `{"TableName":"Users","Key":{"sku":{"S":"7"}}}`, 200,
			`{"Item":{"sku":{"S":"7"},"id":{"S":"1"},"n":{"N":"2"}}}`,
		},
		{
			"capacity", "GetItem", `{"TableName":"Users","Key":{"id":{"S":"2"}},"ReturnConsumedCapacity":"TOTAL"}`, 200,
			`{"ConsumedCapacity":{"TableName":"Users","CapacityUnits":1}}`,
		},
		{"write", "PutItem", `{"TableName":"Users","Item":{"id":{"S":"1"}}}`, 200, `{}`},
		{
			"write that returns the item", "DeleteItem", `{"TableName":"Users","Key":{"id":{"S":"1"}},"ReturnValues":"ALL_OLD"}`,
			200, `{"Attributes":` + item + `}`,
		},
		{"update", "UpdateItem", `{"TableName":"Users","Key":{"id":{"S":"1"}},"ReturnValues":"NONE"}`, 200, `{}`},
		{"list", "Scan", `{"TableName":"Users"}`, 200, `{"Items":[` + item + `],"Count":1,"ScannedCount":1}`},
		{"query", "Query", `{"TableName":"Users"}`, 200, `{"Items":[` + item + `],"Count":1,"ScannedCount":1}`},
		{
			"batch read", "BatchGetItem", `{"RequestItems":{"Users":{}}}`, 200,
			`{"Responses":{"Users":[` + item + `]},"UnprocessedKeys":{}}`,
		},
		{"batch write", "BatchWriteItem", `{"RequestItems":{"Users":[]}}`, 200, `{"UnprocessedItems":{}}`},
		{
			"transaction", "TransactGetItems",
			`{"TransactItems":[{"Get":{"TableName":"Users","Key":{"id":{"S":"1"}}}},
				{"Get":{"TableName":"Users","Key":{"id":{"S":"2"}}}}]}`,
			200, `{"Responses":[{"Item":` + item + `},{}]}`,
		},
		{"transaction that writes", "TransactWriteItems", `{"TransactItems":[{"Put":{}}]}`, 200, `{}`},
		{
			"unknown operation", "CreateTable", `{}`, 400,
			`{"__type":"com.amazon.coral.service#UnknownOperationException",
				"message":"operation CreateTable is not supported by the benchmark's DynamoDB"}`,
		},
		{
			"not JSON", "GetItem", `[`, 400,
			`{"__type":"com.amazon.coral.service#SerializationException","message":"unexpected end of JSON input"}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status, got := call(t, http.DefaultClient, s.URL(), test.operation, test.body)
			var want any
			if err := json.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); status != test.status || diff != "" {
				t.Errorf("status = %d, want %d; response (-want +got):\n%s", status, test.status, diff)
			}
		})
	}
}

// TestTLS checks that a client that trusts only the root accepts the certificate.
func TestTLS(t *testing.T) {
	t.Parallel()
	certificate, root, err := instant.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, certificate)
	s.SetItem("Users", instant.Item{"id": json.RawMessage(`{"S":"1"}`)})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	status, got := call(t, client, s.URL(), "GetItem", `{"TableName":"Users","Key":{"id":{"S":"1"}}}`)
	want := map[string]any{"Item": map[string]any{"id": map[string]any{"S": "1"}}}
	if diff := cmp.Diff(want, got); status != 200 || diff != "" {
		t.Errorf("status = %d, want 200; response (-want +got):\n%s", status, diff)
	}
}
